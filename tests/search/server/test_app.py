"""The application as a whole: headers, tokens, host names, fuzzing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.search.server.conftest import Server, Start, raw

pytestmark = pytest.mark.slow


def test_no_torch_behind_the_door() -> None:
    code = "import sys, imtext.search.server; print([m for m in ('torch', 'lightning', 'hydra') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_headers_and_names(server: Server) -> None:
    for path in ("/", "/search?q=red", "/search", "/nowhere"):
        headers = server.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
    assert server.get("/info", headers={"host": "evil.example"}).status_code == 421
    assert server.post("/nowhere").status_code == 404
    assert server.post("/info").status_code == 405
    assert raw(server, "OPTIONS *").startswith(b"HTTP/1.1 404")


def test_a_reverse_proxy_may_pass_on_its_name(start: Start) -> None:
    server = start("--name", "photos.example.org", "--name", "pictures.example.org")
    for name in ("photos.example.org", "pictures.example.org:8443", "localhost"):
        assert server.get("/info", headers={"host": name}).ok
    refused = server.get("/info", headers={"host": "evil.example"})
    assert (refused.status_code, "--name" in refused.json()["detail"]) == (421, True)


def test_token(start: Start) -> None:
    server = start("--token", "open-sesame", "--cors-origin", "https://example.org")
    assert server.get("/health").ok
    for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": "imtext_token=wrong"}, {"cookie": "\xff=;;=,"}):
        refused = server.get("/search?q=red", headers=headers)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert server.get("/search?q=red&token=open-sesame").status_code == 401  # addresses end up in logs
    assert server.get("/search?q=red", headers={"authorization": "Bearer open-sesame"}).ok
    with requests.Session() as browser:
        assert browser.get(f"{server.url}/?token=open-sesame", timeout=20).url == f"{server.url}/"
        assert browser.get(f"{server.url}/search?q=red", timeout=20).ok
    asked = {"origin": "https://example.org", "access-control-request-method": "POST"}
    preflight = requests.options(f"{server.url}/search", headers=asked, timeout=20)
    assert preflight.headers["access-control-allow-origin"] == "https://example.org"


def test_fuzz(server: Server) -> None:
    """Schemathesis generates requests from OpenAPI; IMTEXT_FUZZ sets the number for each operation."""
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.url}/openapi.json", "--checks", checks,
        "--max-examples", os.environ.get("IMTEXT_FUZZ", "15"), "--phases", "examples,coverage,fuzzing",
        "--generation-deterministic", "--suppress-health-check", "all", "--no-color",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Unresolvable" not in done.stdout
    assert server.get("/search?q=red").ok
