"""Servers as separate processes, over thirty drawings."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from imtext.search import Bundle, Index
from tests.conftest import picture


@dataclass
class Server:
    """A running server."""

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


@pytest.fixture(scope="session")
def start(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start servers over 30 drawings; all must exit without an error."""
    running: list[subprocess.Popen[str]] = []

    def run(
        *options: str, model: Bundle | None = None, prepare: Callable[[Path], object] = lambda path: None
    ) -> Server:
        folder = tmp_path_factory.mktemp("served")
        pictures = folder / "pictures"
        pictures.mkdir()
        for number in range(30):
            picture(pictures / f"{number:02}.png", number)
            prepare(pictures / f"{number:02}.png")
        index = Index.create(folder / "index", model or bundle)
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


@pytest.fixture(scope="session")
def server(start: Start) -> Server:
    return start()


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


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.05)
