"""Limits of size, time and waiting, each by itself."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest
from starlette.types import Message, Receive, Scope, Send

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
