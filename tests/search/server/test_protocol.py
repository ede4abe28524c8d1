"""Limits on the request head and on endless bodies."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Sequence

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from imtext.search.server import protocol
from tests.search.server.conftest import Server


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_a_head_is_neither_slow_nor_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    whole = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    long = b"GET / HTTP/1.1\r\nX: " + b"x" * protocol.HEAD_BYTES
    config = Config(reads_all, lifespan="off", ws="none", timeout_keep_alive=60)

    async def statuses(port: int, *parts: bytes) -> list[bytes]:
        """The statuses of all responses until the server closes the connection; a part is sent every 0.1 s."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = b""
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.1)
        with contextlib.suppress(ConnectionError):
            while part := await asyncio.wait_for(reader.read(65536), 5):
                answer += part
        writer.close()
        return re.findall(rb"HTTP/1.1 (\d+)", answer)

    async def run(*requests: Sequence[bytes]) -> list[list[bytes]]:
        server = await asyncio.get_running_loop().create_server(
            lambda: protocol.BoundedProtocol(config, ServerState(), {}), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        return await asyncio.gather(*(statuses(port, *parts) for parts in requests))

    assert asyncio.run(run([b""], [b"GET / HTT"], [b"GET / HTTP/1.1\r\n", *[b"X: y\r\n"] * 9])) == [[], [], []]
    assert asyncio.run(run([whole, b"\r\n"], [whole, b"GET /"])) == [[b"200"]] * 2
    assert asyncio.run(run([long], [whole, whole, long])) == [[b"431"], [b"200", b"200", b"431"]]
    slow_body = [whole[:-3], b"a", *[b""] * 6, b"b", b"c", b"GET /"]  # the guard limits these
    big_body = [b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n", bytes(1_000_000), b"GET /"]
    assert asyncio.run(run(slow_body, big_body)) == [[b"200"]] * 2
    long_trailer = [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ", b"x" * 100_000]
    assert asyncio.run(run(long_trailer)) == [[]]


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})
