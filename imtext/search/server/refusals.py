"""Error responses (RFC 9457), including refusals that are sent before the application sees a request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.types import Message, Send

# Pages load content from this server only. Other pages may not frame them, and no referrer is sent.
SECURITY_HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


def problem(status: int, detail: str) -> dict[str, Any]:
    """The body of an error response (RFC 9457)."""
    return {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}


@dataclass
class Refusal:
    """A response that is prepared in advance, so that refusing a request is cheaper than serving it."""

    status: int
    detail: str
    extra: Sequence[tuple[bytes, bytes]] = ()
    messages: list[Message] = field(init=False)

    def __post_init__(self) -> None:
        body = json.dumps(problem(self.status, self.detail)).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            *self.extra,
            *SECURITY_HEADERS,
        ]
        self.messages = [
            {"type": "http.response.start", "status": self.status, "headers": headers},
            {"type": "http.response.body", "body": body},
        ]

    async def __call__(self, send: Send) -> int:
        """Send the response; returns its status."""
        for message in self.messages:
            await send(message)
        return self.status


TOO_BUSY = "Too many requests at once. Try again in a second."
BUSY = Refusal(503, TOO_BUSY, [(b"retry-after", b"1")])
WRONG_HOST = Refusal(421, "This server does not serve that host name. Start it with --name <host>, or use 127.0.0.1.")
NO_TOKEN = Refusal(
    401,
    "A token is required: send 'Authorization: Bearer <token>', or open /?token=<token> in the browser once.",
    [(b"www-authenticate", b"Bearer")],
)
TOO_SLOW_BODY = Refusal(408, "The request body took too long to arrive.", [(b"connection", b"close")])
TOO_SLOW = Refusal(504, "The response took too long.", [(b"retry-after", b"1")])
