"""The server as a process of its own: what it answers, what it refuses, and how it goes on under load and change."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from imtext.search import Bundle, Encoder, Index, parse_query
from imtext.search.server import Limits, service
from tests.conftest import picture

pytestmark = pytest.mark.slow


@dataclass
class Server:
    """One that runs."""

    url: str
    index: Index
    pictures: Path
    process: subprocess.Popen[str]

    def get(self, path: str, **options: object) -> requests.Response:
        return requests.get(self.url + path, timeout=20, **options)

    def post(self, path: str, **options: object) -> requests.Response:
        return requests.post(self.url + path, timeout=20, **options)

    def ids(self) -> list[str]:
        return [one["id"] for one in self.get("/images?limit=1000").json()["results"]]


Start = Callable[..., Server]


@pytest.fixture(scope="module")
def start(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start servers over 30 drawings; all have to end well."""
    running: list[subprocess.Popen[str]] = []

    def run(*options: str) -> Server:
        folder = tmp_path_factory.mktemp("served")
        pictures = folder / "pictures"
        pictures.mkdir()
        for number in range(30):
            picture(pictures / f"{number:02}.png", number)
        index = Index.create(folder / "index", bundle)
        index.update([str(pictures)])
        command = [sys.executable, "-m", "imtext", "serve", str(folder / "index"), "--port", "0", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
        running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("30 pictures at http://"), line
        return Server(line.split()[3], index, pictures, process)

    yield run
    for process in running:
        if process.poll() is None:
            process.terminate()
    assert [process.wait(20) for process in running] == [0] * len(running)


@pytest.fixture(scope="module")
def server(start: Start) -> Server:
    return start()


# ---- what it answers


def test_search_is_that_of_the_index(server: Server) -> None:
    query = "a red circle + 2:star"
    expected = server.index.search(parse_query(query), 5)
    for answer in (
        server.get("/search", params={"q": query, "top_k": 5}),
        server.post("/search", json={"query": query, "top_k": 5}),
    ):
        assert answer.status_code == 200
        found = answer.json()
        assert [one["id"] for one in found["results"]] == [one.id for one in expected]
        assert [one["name"] for one in found["results"]] == [Path(one.path).name for one in expected]
        np.testing.assert_allclose(
            [one["score"] for one in found["results"]], [one.score for one in expected], atol=1e-5
        )
        assert found["total"] == 30
    all_relevance = server.get("/search", params={"q": query, "top_k": 30}).json()["results"]
    middle = all_relevance[10]["relevance"]
    cut = server.get("/search", params={"q": query, "top_k": 30, "min_relevance": middle}).json()["results"]
    assert cut == [one for one in all_relevance if one["relevance"] >= middle]
    assert server.get("/search", params={"q": "a zorkmid"}).json()["unknown_words"] == ["zorkmid"]
    assert server.get("/search", params={"q": "zorkmid", "min_relevance": 1e-9}).json()["results"] == []


def test_a_picture_finds_itself(server: Server) -> None:
    path = server.pictures / "07.png"
    uploaded = server.post("/search/image?top_k=3", data=path.read_bytes()).json()["results"]
    assert (uploaded[0]["name"], round(uploaded[0]["score"], 4), uploaded[0]["relevance"]) == ("07.png", 1, None)
    assert server.get("/search", params={"like": uploaded[0]["id"], "top_k": 3}).json()["results"] == uploaded


def test_embeddings_and_ranking(server: Server, encoder: Encoder) -> None:
    texts = ["a red circle", "two blue stars", "nothing at all"]
    answer = server.post("/embed/text", json={"texts": texts}).json()
    np.testing.assert_allclose(answer["embeddings"], encoder.encode_texts(texts), atol=1e-5)
    assert answer["fingerprint"] == server.index.bundle.fingerprint
    id = server.ids()[4]
    content = server.get(f"/images/{id}").content
    image = np.array(server.post("/embed/image", data=content).json()["embedding"])
    ranked = server.post("/rank", json={"id": id, "texts": texts}).json()["results"]
    scores = np.array(answer["embeddings"]) @ image
    assert [one["text"] for one in ranked] == [texts[place] for place in np.argsort(-scores)]
    np.testing.assert_allclose([one["score"] for one in ranked], np.sort(scores)[::-1], atol=1e-5)
    ids = server.ids()[:6]
    searched = server.get("/search", params={"q": texts[0], "top_k": 30}).json()["results"]
    ranked = server.post("/rank", json={"query": texts[0], "ids": ids}).json()["results"]
    assert [one["id"] for one in ranked] == [one["id"] for one in searched if one["id"] in ids]


def test_pictures(server: Server) -> None:
    first = server.get("/images?limit=1").json()["results"][0]
    assert first["name"] == "00.png"
    assert first["score"] is None
    content = (server.pictures / "00.png").read_bytes()
    whole = server.get(f"/images/{first['id']}")
    assert (whole.content, whole.headers["content-type"]) == (content, "image/png")
    part = server.get(f"/images/{first['id']}", headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    for size in (320, 1600):
        small = server.get(f"/thumbnails/{first['id']}?size={size}")
        assert small.headers["content-type"] == "image/jpeg"
        assert "immutable" in small.headers["cache-control"]
        assert max(Image.open(io.BytesIO(small.content)).size) <= size
    assert server.get(f"/images/{'0' * 32}").status_code == 404
    described = server.get("/openapi.json").json()["paths"]["/images/{id}"]["get"]["responses"]
    for wanted, status in (("bytes=x", "400"), ("bytes=99999-", "416")):
        answer = server.get(f"/images/{first['id']}", headers={"range": wanted})
        assert str(answer.status_code) == status
        assert answer.headers["content-type"].split(";")[0] in described[status]["content"]


def test_state(server: Server) -> None:
    assert server.get("/health").json() == server.get("/ready").json() == {"status": "ok"}
    info = server.get("/info").json()
    assert (info["pictures"], info["fingerprint"]) == (30, server.index.bundle.fingerprint)
    server.get("/search?q=red")
    text = server.get("/metrics").text
    assert "imtext_pictures 30.0" in text
    assert 'imtext_requests_total{route="/search",status="200"}' in text
    openapi = server.get("/openapi.json").json()
    assert {"/search", "/search/image", "/rank", "/embed/text", "/embed/image", "/images/{id}"} <= set(openapi["paths"])


def test_no_torch_behind_the_door() -> None:
    code = "import sys, imtext.search.server; print([m for m in ('torch', 'lightning', 'hydra') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# ---- what it refuses


@pytest.mark.parametrize(
    "query",
    [
        "🐕🌊", "كلب على الشاطئ", "a\x00b\x1b[31m\x7f", "x" * 2000, "/etc/passwd.jpg", "../../secret.png", "-", "%s %n",
        "' OR 1=1 --",
    ],
)  # fmt: skip
def test_strange_queries_are_words(server: Server, query: str) -> None:
    answer = server.get("/search", params={"q": query})
    assert answer.status_code in (200, 422)  # a lone sign is nothing to look for
    assert "cannot be read" not in answer.text  # nobody tried to open anything


def test_a_path_of_a_picture_is_words(server: Server) -> None:
    answer = server.get("/search", params={"q": str(server.pictures / "00.png")})
    assert answer.ok
    assert all(one["relevance"] is not None for one in answer.json()["results"]), "as if a picture had been asked for"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"q": ""}, "at least 1 character"), ({"q": "  "}, "empty"), ({"q": "x" * 2001}, "at most 2000"),
        ({}, "either q=<words> or like=<id"), ({"q": "a", "top_k": 0}, "greater than or equal to 1"),
        ({"q": "a", "top_k": 10**9}, "less than or equal to 1000"), ({"q": "a", "top_k": "many"}, "valid integer"),
        ({"q": "a", "min_relevance": "nan"}, "finite"), ({"q": "a", "min_relevance": -1}, "greater than"),
        ({"q": "red - red"}, "cancel"), ({"q": "1000:dog"}, "weight"), ({"like": "../../etc/passwd"}, "pattern"),
    ],
)  # fmt: skip
def test_bad_queries(server: Server, options: dict[str, object], said: str) -> None:
    answer = server.get("/search", params=options)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert said in answer.json()["detail"]


def test_bad_bodies(server: Server) -> None:
    def post(**options: object) -> tuple[int, str]:
        answer = server.post("/search", **options)
        return answer.status_code, answer.json()["detail"]

    assert post(data=b"{", headers={"content-type": "application/json"})[0] == 400
    assert post(json={"query": "a", "topk": 3})[0] == 422
    assert post(data=b'{"query": "\\ud800"}', headers={"content-type": "application/json"})[0] in (200, 422)
    assert post(data=b" " * 1_000_001)[0] == 413
    assert server.post("/rank", json={"query": "a", "ids": ["f" * 32]}).status_code == 404


def raw(server: Server, what: str, *headers: str) -> bytes:
    """The answer to a request that no proper client would send."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as line:
        lines = [f"{what} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
        line.sendall("\r\n".join(lines).encode())
        return b"".join(iter(lambda: line.recv(65536), b""))


def bomb() -> bytes:
    """The header of a picture of 60,000 × 60,000."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(bytes(10_000))
    chunks = (struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in (head, body))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_bad_uploads(server: Server) -> None:
    assert "no picture" in server.post("/search/image").json()["detail"]
    for content in (b"a letter", bomb(), (server.pictures / "00.png").read_bytes()[:200]):
        answer = server.post("/search/image", data=content)
        assert answer.status_code == 422
        assert "cannot be read" in answer.json()["detail"]
    assert "limit" in server.post("/embed/image", data=bomb()).json()["detail"]
    assert raw(server, "POST /search/image", "Content-Length: 20000001").startswith(b"HTTP/1.1 413")


def test_an_endless_upload_is_stopped_on_its_way(server: Server) -> None:
    sent = 0
    with socket.create_connection(server.url.removeprefix("http://").split(":"), timeout=20) as line:  # type: ignore[arg-type]
        line.sendall(b"POST /search/image HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        try:
            while sent < 500_000_000:
                line.sendall(chunk)
                sent += 0x100000
        except OSError:
            pass  # it has hung up
    assert sent < 100_000_000
    assert server.get("/health").ok


def test_an_endless_head_is_stopped_on_its_way(server: Server) -> None:
    for begin in (b"GET /?", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "):
        sent = 0
        with socket.create_connection(server.url.removeprefix("http://").split(":"), timeout=20) as line:  # type: ignore[arg-type]
            line.sendall(begin)
            with contextlib.suppress(OSError):  # it has hung up
                while sent < 200_000_000:
                    line.sendall(b"x" * 0x100000)
                    sent += 0x100000
        assert sent < 50_000_000


@pytest.mark.parametrize(
    "path", ["/images/../../../etc/passwd", "/images/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/../conf", "/thumbnails/.."]
)
def test_no_path_comes_from_a_client(server: Server, path: str) -> None:
    answer = raw(server, f"GET {path}")
    assert answer.split()[1] in (b"404", b"422")
    assert b"root:" not in answer


def test_a_changed_file_is_not_handed_out(start: Start) -> None:
    server = start()
    id = server.ids()[3]
    assert server.get(f"/thumbnails/{id}").ok
    (server.pictures / "03.png").write_bytes(b"something secret that came later")
    answer = server.get(f"/images/{id}")
    assert answer.status_code == 404
    assert "changed" in answer.json()["detail"]
    server.index.update()
    wait_until(lambda: server.get(f"/thumbnails/{id}").status_code == 404)


def test_a_name_does_not_make_a_picture_a_script(start: Start) -> None:
    server = start()
    script = server.pictures / "b.js"
    picture(script.with_suffix(".png"), 500).rename(script)
    (server.pictures / "list.txt").write_text("b.js\n")
    server.index.update([str(server.pictures / "list.txt")])
    wait_until(lambda: len(server.ids()) == 31)
    answer = server.get(f"/images/{server.ids()[-1]}")
    assert (answer.headers["content-type"], answer.headers["x-content-type-options"]) == (
        "application/octet-stream",
        "nosniff",
    )


def test_headers_and_names(server: Server) -> None:
    for path in ("/", "/search?q=red", "/search", "/nowhere"):
        headers = server.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
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


def test_others_are_let_in_on_purpose_only(server: Server) -> None:
    def serve(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "imtext", "serve", str(server.index.folder), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    refused = serve("--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 2
    assert "--token" in refused.stderr
    assert "letters, digits" in serve("--token", "short").stderr
    taken = serve("--port", server.url.rsplit(":", 1)[1])
    assert (taken.returncode, taken.stderr.count("\n")) == (2, 1)
    assert "Try another --port" in taken.stderr


# ---- load and change


def test_too_many_are_refused_at_once_and_the_rest_answered(server: Server) -> None:
    def ask(number: int) -> requests.Response:
        return server.get("/search", params={"q": f"a red circle {'and a star ' * 20} {number}"})

    with ThreadPoolExecutor(80) as pool:
        answers = list(pool.map(ask, range(400)))
    assert {one.status_code for one in answers} <= {200, 503}
    assert sum(one.status_code == 200 for one in answers) > 50
    refused = [one for one in answers if one.status_code == 503]
    assert refused
    assert all(one.headers["retry-after"] == "1" for one in refused)
    assert server.get("/search?q=red").ok


def test_new_pictures_are_found_while_all_go_on(start: Start) -> None:
    server = start()
    stop, failed, asked = threading.Event(), [], []

    def keep_asking() -> None:
        with requests.Session() as session:
            while not stop.is_set():
                answer = session.get(f"{server.url}/search?q=a+star&top_k=40", timeout=20)
                if answer.ok:
                    asked.append(answer.json()["total"])
                else:
                    failed.append(answer.text)

    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(3):
            new = picture(server.pictures / f"new {number}.png", 1000 + number)
            server.index.update()
            committed = time.monotonic()
            while server.post("/search/image?top_k=1", data=new.read_bytes()).json()["results"][0]["name"] != new.name:
                assert time.monotonic() - committed < 2
        (server.pictures / "05.png").unlink()
        server.index.update()
        wait_until(lambda: server.get("/info").json()["pictures"] == 32)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed
    assert len(asked) > 20
    assert {32, 33} <= set(asked) <= {30, 31, 32, 33}


def test_a_rebuilt_index_is_taken_up(start: Start, bundle: Bundle, tmp_path: Path) -> None:
    server = start()
    other = json.loads((bundle.path / "manifest.json").read_text())
    from imtext.search.bundle import GRAPHS_AND_WORDS, write_bundle

    facts = {key: value for key, value in other.items() if key not in ("schema", "fingerprint", "files")}
    facts["preprocess"] = {**facts["preprocess"], "resize": "crop"}
    changed = write_bundle(
        tmp_path / "other", {name: (bundle.path / name).read_bytes() for name in GRAPHS_AND_WORDS}, facts
    )
    Index.create(server.index.folder, changed, rebuild=True).update()
    wait_until(lambda: server.get("/info").json()["fingerprint"] == changed.fingerprint)
    wait_until(lambda: server.get("/info").json()["pictures"] == 30)
    assert server.get("/search?q=red").ok


def test_following_goes_on_whatever_happens(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "LOOK_SECONDS", 0.01)
    follower = service.Service(server.index.folder, Limits())
    errors = iter([ValueError("no array"), MemoryError("too large")])

    def look() -> bool:
        for error in errors:
            raise error
        return True

    async def follow() -> None:
        following = asyncio.create_task(follower.follow())
        while not follower.reloads and not following.done():
            await asyncio.sleep(0.01)
        following.cancel()

    monkeypatch.setattr(follower, "_look", look)
    asyncio.run(follow())
    follower.close()
    assert follower.reloads == 1
    assert "no array" in caplog.text


def test_requests_under_way_are_finished_before_it_ends(start: Start) -> None:
    server = start()
    host, port = server.url.removeprefix("http://").split(":")
    content = (server.pictures / "00.png").read_bytes()
    with socket.create_connection((host, int(port)), timeout=20) as line:
        head = f"POST /search/image?top_k=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
        line.sendall(head.encode() + content[:50])
        time.sleep(0.3)
        os.kill(server.process.pid, signal.SIGTERM)
        time.sleep(0.5)
        assert server.process.poll() is None
        with pytest.raises(requests.ConnectionError):  # which is how a load balancer learns of it
            server.get("/ready")
        line.sendall(content[50:])
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"00.png" in answer
    assert server.process.wait(20) == 0


def test_fuzz(server: Server) -> None:
    """Schemathesis invents requests from OpenAPI; IMTEXT_FUZZ says how many for each operation."""
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


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.05)
