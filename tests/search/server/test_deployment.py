"""The files of docs/deploy: nginx in front of a server, units of systemd, and the commands of the image."""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests
from playwright.sync_api import Browser, expect

from tests.search.conftest import needs_browser, show_all_results
from tests.search.server.conftest import Server, Start, wait_until

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[3] / "docs" / "deploy"
NAME, TOKEN = "photos.example.org", "open-sesame"
SECONDS = 90  # a busy machine answers slowly
NGINX, OPENSSL, ANALYZE = map(shutil.which, ("nginx", "openssl", "systemd-analyze"))


@dataclass
class Proxy:
    """nginx in front of a server.

    Attributes:
        address: of nginx, with the prefix: ``https://127.0.0.1:1234/photos``.
        folder: of its logs and its certificate.
        server: the server behind it.
    """

    address: str
    folder: Path
    server: Server

    def browser(self, token: str = TOKEN) -> requests.Session:
        """A client that speaks to the documented name and has opened the page with a token."""
        client = requests.Session()
        client.trust_env = False  # which may name other certificates
        client.verify = str(self.folder / f"{NAME}.crt")
        client.headers["host"] = NAME
        if token:
            assert client.get(f"{self.address}/?token={token}", timeout=SECONDS).ok
        return client


def changed(text: str, changes: dict[str, str]) -> str:
    """A documented file with the places of a test; every one must be in it."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def proxy(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    if NGINX is None or OPENSSL is None:
        pytest.skip("needs nginx and openssl")
    folder, server = tmp_path_factory.mktemp("nginx"), start("--name", NAME, "--root-path", "/photos", "--token", TOKEN)
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{folder}/{NAME}.key", "-out", f"{folder}/{NAME}.crt"]
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1"]
    subprocess.run([OPENSSL, "req", "-x509", *key, "-days", "2", *names], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    places = {
        "127.0.0.1:8000": server.url.removeprefix("http://"),
        "listen 443": f"listen 127.0.0.1:{port}",
        "/etc/ssl": str(folder),
        "/var/log/nginx": str(folder),
    }
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    whole = f"pid {folder}/pid;\nevents {{}}\nhttp {{\n{temporary}\n{(DEPLOY / 'nginx.conf').read_text()}\n}}"
    (folder / "nginx.conf").write_text(changed(whole, places))
    command = [NGINX, "-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", "stderr"]
    with subprocess.Popen([*command, "-g", "daemon off; master_process off;"]) as process:
        made = Proxy(f"https://127.0.0.1:{port}/photos", folder, server)
        try:
            wait_until(lambda: _listens(port))
            yield made
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


def test_the_page_and_searches_below_the_prefix(proxy: Proxy) -> None:
    client = proxy.browser()
    assert "<title>" in client.get(f"{proxy.address}/", timeout=SECONDS).text
    for file in ("app.js", "style.css", "docs", "openapi.json", "health"):
        assert client.get(f"{proxy.address}/{file}", timeout=SECONDS).ok, file
    found = client.get(f"{proxy.address}/search?q=grandma&top_k=3&min_relevance=0", timeout=SECONDS)
    assert len(found.json()["results"]) == 3
    refused = client.get(f"{proxy.address.removesuffix('/photos')}/search?q=grandma", timeout=SECONDS)
    assert refused.status_code == 404  # nothing is served beside the prefix


def test_the_token_is_asked_for_once(proxy: Proxy) -> None:
    stranger = proxy.browser(token="")
    assert stranger.get(f"{proxy.address}/search?q=grandma", timeout=SECONDS).status_code == 401
    assert stranger.get(f"{proxy.address}/health", timeout=SECONDS).ok
    client = proxy.browser()
    (cookie,) = client.cookies
    assert (cookie.name, cookie.path, cookie.secure) == ("imtext_token", "/photos/", True)
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "Strict"
    assert client.get(f"{proxy.address}/search?q=grandma", timeout=SECONDS).ok


def test_no_redirect_leaves_the_prefix(proxy: Proxy) -> None:
    client = proxy.browser()
    redirected = 0
    pages = (f"/?token={TOKEN}", f"/docs?token={TOKEN}")
    for path in ("", *pages, "/search/?q=red", "/docs/", "/images/", "//x", "/../x"):
        answer = client.get(proxy.address + path, allow_redirects=False, timeout=SECONDS)
        if answer.is_redirect:
            redirected += 1
            target = urljoin(proxy.address + path, answer.headers["location"])
            assert target.startswith(f"{proxy.address}/"), (path, answer.headers["location"])
    assert redirected >= 3


def test_uploads_and_their_limit(proxy: Proxy) -> None:
    client, content = proxy.browser(), (proxy.server.pictures / "07.png").read_bytes()
    found = client.post(f"{proxy.address}/search/image?top_k=1", data=content, timeout=SECONDS)
    assert [one["name"] for one in found.json()["results"]] == ["07.png"]
    explained = client.post(f"{proxy.address}/search/image", data=bytes(20_500_000), timeout=SECONDS)
    # imtext refuses before it has read everything. On a busy machine nginx is still sending then, and answers 502.
    assert explained.status_code in (413, 502)
    assert explained.status_code == 502 or "20,000,000" in explained.json()["detail"]
    refused = client.post(f"{proxy.address}/search/image", data=bytes(23_000_000), timeout=SECONDS)
    assert refused.status_code == 413
    assert "nginx" in refused.text  # it never reached the server


def test_downloads(proxy: Proxy) -> None:
    client, ids = proxy.browser(), proxy_ids(proxy)
    packed = client.get(f"{proxy.address}/zip?ids={','.join(ids[:3])}", timeout=SECONDS)
    assert int(packed.headers["content-length"]) == len(packed.content)
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 3
    small = client.get(f"{proxy.address}/thumbnails/{ids[0]}", timeout=SECONDS)
    assert small.headers["cache-control"] == "private, max-age=31536000, immutable"
    part = client.get(f"{proxy.address}/images/{ids[0]}", headers={"range": "bytes=0-7"}, timeout=SECONDS)
    assert (part.status_code, part.content) == (206, b"\x89PNG\r\n\x1a\n")


def proxy_ids(proxy: Proxy) -> list[str]:
    found = proxy.browser().get(f"{proxy.address}/images?limit=1000", timeout=SECONDS).json()["results"]
    return [one["id"] for one in found]


def test_logs_keep_secrets(proxy: Proxy) -> None:
    assert proxy.browser().get(f"{proxy.address}/search?q=grandma", timeout=SECONDS).ok
    log = (proxy.folder / "imtext.log").read_text()
    assert " GET /photos/search 200 " in log
    for secret in (TOKEN, "grandma"):
        assert all(secret not in path.read_text() for path in proxy.folder.glob("*.log"))


@needs_browser
def test_the_page_in_a_browser(proxy: Proxy, browser: Browser) -> None:
    page = browser.new_page(ignore_https_errors=True)
    page.set_default_timeout(1000 * SECONDS)
    outside: list[str] = []
    allowed = (f"{proxy.address}/", "data:", "blob:")
    page.on("request", lambda one: None if one.url.startswith(allowed) else outside.append(one.url))
    page.goto(f"{proxy.address}/?token={TOKEN}")
    assert page.url == f"{proxy.address}/"
    expect(page.locator("#status")).to_have_text("30 pictures", timeout=1000 * SECONDS)
    page.locator("#query").fill("a red star")
    expect(page.locator("#status")).to_contain_text("ms", timeout=1000 * SECONDS)
    show_all_results(page)
    expect(page.locator("#grid .tile img[src]")).not_to_have_count(0)
    page.close()
    assert outside == []


@pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze")
def test_units_are_valid(tmp_path: Path) -> None:
    assert ANALYZE is not None
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "imtext").symlink_to("/bin/true")
    for path in DEPLOY.glob("imtext*"):
        text = path.read_text()
        (tmp_path / path.name).write_text(text.replace("/opt/imtext/bin", str(programs)))
    units = sorted(tmp_path.glob("imtext*"))
    assert [unit.name for unit in units] == ["imtext-index.service", "imtext-index.timer", "imtext.service"]
    done = subprocess.run([ANALYZE, "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, _about(done.stderr, tmp_path)) == (0, [])


def _about(text: str, folder: Path) -> list[str]:
    """The lines that are about our units: others of this machine may have mistakes of their own."""
    return [line for line in text.splitlines() if str(folder) in line or "imtext" in line]


@pytest.mark.parametrize("verb", ["serve", "index"])
def test_units_name_options_that_exist(verb: str) -> None:
    command = [sys.executable, "-m", "imtext", verb, "--help"]
    known = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200"})
    (line,) = re.findall(rf"^ExecStart=.* {verb} .*", "\n".join(map(Path.read_text, DEPLOY.glob("*.service"))), re.M)
    named = set(re.findall(r"--[a-z-]+", line))
    assert named
    assert named <= set(re.findall(r"--[a-z-]+", known.stdout))
