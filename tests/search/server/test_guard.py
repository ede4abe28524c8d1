"""Limits of size, time and waiting, each by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest
from starlette.types import Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from imtext.search.server import protocol
from imtext.search.server.batching import Batcher, BusyError
from imtext.search.server.guard import Guard, Limits


async def asked(
    guard: Guard,
    messages: Sequence[Message],
    path: str = "/search",
    method: str = "POST",
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> tuple[int, str]:
    """Status and detail of the answer; a client that stops sending stays silent."""
    sent: list[Message] = []
    waiting = iter(messages)

    async def receive() -> Message:
        message = next(waiting, None)
        if message is None:
            await asyncio.sleep(60)
        assert message is not None
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost"), *headers],
    }
    await guard(scope, receive, send)
    body = json.loads(b"".join(one.get("body", b"") for one in sent) or b"{}")
    return sent[0]["status"], body.get("detail", "")


def guarded(app: Callable[[Scope, Receive, Send], Awaitable[None]], **limits: float) -> Guard:
    return Guard(app, Limits(**limits), None, ("localhost",), lambda: False, lambda route, status, seconds: None)  # type: ignore[arg-type]


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def thinks_for_ever(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await asyncio.sleep(60)


def test_time() -> None:
    whole, part = {"type": "http.request", "body": b"x"}, {"type": "http.request", "body": b"x", "more_body": True}
    assert asyncio.run(asked(guarded(reads_all, seconds=0.05), [whole]))[0] == 200
    assert asyncio.run(asked(guarded(reads_all, seconds=0.05), [part])) == (408, "The request took too long to arrive.")
    assert asyncio.run(asked(guarded(thinks_for_ever, seconds=0.05), [whole])) == (504, "The answer took too long.")


def test_size_is_declared_before_it_comes() -> None:
    for size in (b"101", b"many", b"-1"):
        answer = asyncio.run(asked(guarded(reads_all, json_bytes=100), [], headers=[(b"content-length", size)]))
        assert answer == (413, "The request is larger than 100 bytes.")


def test_bodies_together_are_limited_before_they_come() -> None:
    guard = guarded(reads_all, json_bytes=100, body_bytes=150, seconds=0.2)
    length = [[(b"content-length", str(size).encode())] for size in (100, 50, 51)]
    whole = {"type": "http.request", "body": b"x"}

    async def run() -> list[int]:
        silent = asyncio.create_task(asked(guard, [], headers=length[0]))
        await asyncio.sleep(0)
        answers = [await asked(guard, [whole], headers=headers) for headers in (length[1], length[2], ())]
        answers += [await asked(guard, [whole], method="GET"), await silent, await asked(guard, [whole])]
        return [status for status, _ in answers]

    # 100 are under way: 50 fit, 51 do not, nor what may become 100; a GET has none. Given up, they are free again.
    assert asyncio.run(run()) == [200, 503, 503, 200, 408, 200]


def test_names_are_those_of_addresses() -> None:
    guard = Guard(reads_all, Limits(), None, ("Example.org:8443",), lambda: False, lambda *_: None)
    whole = {"type": "http.request"}
    for host, status in ((b"example.ORG", 200), (b"example.org:443", 200), (b"localhost", 421)):
        assert asyncio.run(asked(guard, [whole], headers=[(b"host", host)]))[0] == status


def test_no_path_at_all_is_counted_too() -> None:
    seen = []
    guard = Guard(reads_all, Limits(), None, (), lambda: False, lambda route, status, seconds: seen.append(route))
    assert asyncio.run(asked(guard, [{"type": "http.request"}], path="*", method="OPTIONS"))[0] == 200
    assert seen == ["other"]


def test_a_head_is_neither_slow_nor_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    whole = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    long = b"GET / HTTP/1.1\r\nX: " + b"x" * protocol.HEAD_BYTES
    config = Config(reads_all, lifespan="off", ws="none", timeout_keep_alive=60)

    async def said(port: int, *parts: bytes) -> list[bytes]:
        """The statuses of all that comes until the server hangs up; a part is sent each 0.1 s."""
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
        return await asyncio.gather(*(said(port, *parts) for parts in requests))

    assert asyncio.run(run([b""], [b"GET / HTT"], [b"GET / HTTP/1.1\r\n", *[b"X: y\r\n"] * 9])) == [[], [], []]
    assert asyncio.run(run([whole, b"\r\n"], [whole, b"GET /"])) == [[b"200"]] * 2
    assert asyncio.run(run([long], [whole, whole, long])) == [[b"431"], [b"200", b"200", b"431"]]
    slow_body = [whole[:-3], b"a", *[b""] * 6, b"b", b"c", b"GET /"]  # is the guard's business
    big_body = [b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n", bytes(1_000_000), b"GET /"]
    assert asyncio.run(run(slow_body, big_body)) == [[b"200"]] * 2
    long_trailer = [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ", b"x" * 100_000]
    assert asyncio.run(run(long_trailer)) == [[]]


def test_single_requests_are_worked_on_at_once_and_company_together() -> None:
    release, batches = threading.Event(), []

    def work(batch: Sequence[int]) -> list[int | Exception]:
        batches.append(list(batch))
        release.wait(5)
        return [ValueError("odd") if one % 2 else 10 * one for one in batch]

    async def run() -> tuple[list[int | BaseException], int]:
        batcher = Batcher(work, max_batch=4, max_waiting=6)
        first = asyncio.create_task(batcher.submit(0))
        await asyncio.sleep(0.05)  # it is being worked on; what comes now waits
        others = [asyncio.create_task(batcher.submit(number)) for number in range(1, 9)]
        await asyncio.sleep(0.05)
        others[1].cancel()  # has given up
        release.set()
        answers = await asyncio.gather(first, *others, return_exceptions=True)
        batcher.close()
        return answers, batcher.waiting

    answers, waiting = asyncio.run(run())
    assert batches == [[0], [1, 3, 4, 5], [6]]
    assert (answers[0], answers[4], answers[6], waiting) == (0, 40, 60, 0)
    assert isinstance(answers[2], asyncio.CancelledError)
    assert [type(answers[place]) for place in (1, 3, 5)] == [ValueError] * 3
    assert [type(answers[place]) for place in (7, 8)] == [BusyError] * 2


def test_a_failing_batch_fails_those_in_it_only() -> None:
    def work(batch: Sequence[int]) -> list[int | Exception]:
        raise RuntimeError("broken")

    async def run() -> None:
        batcher = Batcher(work, 4, 4)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="broken"):
                await batcher.submit(1)

    asyncio.run(run())
