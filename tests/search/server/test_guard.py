"""Limits of size, time and waiting, each separately."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

from starlette.types import Message, Receive, Scope, Send

from imtext.search.server.guard import Guard
from imtext.search.server.limits import Limits


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


async def never_answers(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await asyncio.sleep(60)


def test_time() -> None:
    whole, part = {"type": "http.request", "body": b"x"}, {"type": "http.request", "body": b"x", "more_body": True}
    assert asyncio.run(asked(guarded(reads_all, seconds=0.05), [whole]))[0] == 200
    assert asyncio.run(asked(guarded(reads_all, seconds=0.05), [part])) == (
        408,
        "The request body took too long to arrive.",
    )
    assert asyncio.run(asked(guarded(never_answers, seconds=0.05), [whole])) == (504, "The response took too long.")


def test_size_is_declared_before_it_comes() -> None:
    for size in (b"101", b"many", b"-1", b"9" * 5_000):
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

    # 100 bytes are in use: 50 fit, 51 or a body of up to 100 do not, a GET has none. After the timeout they are free.
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
