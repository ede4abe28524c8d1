"""Limits on the request head and on endless bodies."""

from __future__ import annotations

import contextlib
import socket

import pytest

from tests.search.server.conftest import Server

pytestmark = pytest.mark.slow


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
