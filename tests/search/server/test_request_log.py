"""Lines of JSON: one for each request, without what was asked."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from imtext.search.server.refusals import NO_TOKEN
from imtext.search.server.request_log import RequestLog


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    await NO_TOKEN(send)


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("out of memory")


def logged(app: Any, path: str = "/search", id: bytes = b"") -> tuple[list[dict[str, Any]], list[Message]]:
    """The lines of one request, and the messages of its response."""
    lines: list[str] = []
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"authorization", b"Bearer open-sesame"), *([(b"x-request-id", id)] if id else [])]
    scope = {
        "type": "http", "method": "GET", "path": f"/photos{path}", "root_path": "/photos",
        "query_string": b"q=grandma&token=open-sesame", "headers": headers,
    }  # fmt: skip
    try:
        asyncio.run(RequestLog(app, lines.append)(scope, receive, send))
    finally:
        assert "grandma" not in "".join(lines)
        assert "open-sesame" not in "".join(lines)
        parsed = [json.loads(line) for line in lines]
        assert parsed[0]["status"] == (sent[0]["status"] if sent else 500)
    return parsed, sent


def test_a_line_says_how_a_request_ended() -> None:
    (line,), sent = logged(refuses, id=b"proxy-17")
    assert list(line) == ["time", "method", "route", "status", "milliseconds", "request_id"]
    assert (line["method"], line["route"], line["status"], line["request_id"]) == ("GET", "/search", 401, "proxy-17")
    assert line["time"].endswith("+00:00")
    assert line["milliseconds"] >= 0
    assert (b"x-request-id", b"proxy-17") in sent[0]["headers"]


def test_routes_are_not_paths() -> None:
    assert logged(refuses, "/thumbnails/0123")[0][0]["route"] == "/thumbnails/{id}"
    assert logged(refuses, "/my/secret")[0][0]["route"] == "other"


def test_ids_of_clients_cannot_forge_lines() -> None:
    for id in (b'x"}\n{"status":200}', b"x" * 65, b""):
        (line,), sent = logged(refuses, id=id)
        assert len(line["request_id"]) == 32
        assert (b"x-request-id", line["request_id"].encode()) in sent[0]["headers"]
    assert NO_TOKEN.messages[0]["headers"].count((b"x-request-id", line["request_id"].encode())) == 0  # shared


def test_a_failure_is_logged_and_passed_on() -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        logged(fails)
