"""Prepared responses are complete HTTP responses in the format of RFC 9457."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.types import Message

from imtext.search.server.refusals import BUSY, NO_TOKEN, TOO_SLOW, WRONG_HOST, Refusal, problem


def test_problem() -> None:
    assert problem(404, "There is no picture 1.") == {
        "status": 404, "title": "Not Found", "detail": "There is no picture 1.",
    }  # fmt: skip


@pytest.mark.parametrize("refusal", [BUSY, NO_TOKEN, TOO_SLOW, WRONG_HOST])
def test_refusals(refusal: Refusal) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    assert asyncio.run(refusal(send)) == refusal.status
    start, body = sent
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/problem+json"
    assert int(headers[b"content-length"]) == len(body["body"])
    assert b"content-security-policy" in headers
    assert json.loads(body["body"])["status"] == refusal.status
