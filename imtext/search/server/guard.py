"""What stands between the network and the application: who may ask, how much, how long, and what is counted."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "imtext_token"
OPEN_PATHS = ("/health",)  # answered without a token: a load balancer has none

# Everything comes from the server itself, and nothing may frame it, sniff it or learn where a reader came from.
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


@dataclass(frozen=True)
class Limits:
    """What one request and all together may take.

    Attributes:
        json_bytes: of a body with text.
        image_bytes: of an uploaded picture.
        image_pixels: of an uploaded picture, read from its header.
        seconds: from a request's headers, once they have arrived, to the last byte of its answer.
        download_seconds: the same for pictures, which a slow line takes long to fetch.
        batch: text queries that are worked on together.
        waiting: text queries that may wait for the next batch.
        pictures: requests that read or decode a picture, at one time.
        pictures_waiting: those that may wait for these.
        body_bytes: of all bodies together, as they were announced; they are held in memory.
    """

    json_bytes: int = 1_000_000
    image_bytes: int = 20_000_000
    image_pixels: int = 50_000_000
    seconds: float = 10.0
    download_seconds: float = 120.0
    batch: int = 8
    waiting: int = 8
    pictures: int = 2
    pictures_waiting: int = 256
    body_bytes: int = 200_000_000


def problem(status: int, detail: str) -> dict[str, Any]:
    """An error as RFC 9457 wants it."""
    return {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}


@dataclass
class _Canned:
    """An answer that costs next to nothing to send: refusing has to be cheaper than working."""

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
        for message in self.messages:
            await send(message)
        return self.status


BUSY = _Canned(503, "Too many requests at once. Try again in a second.", [(b"retry-after", b"1")])
WRONG_HOST = _Canned(421, "This server does not answer to that name. Start it with --name, or ask for 127.0.0.1.")
NO_TOKEN = _Canned(
    401,
    "A token is needed: send 'Authorization: Bearer <token>', or open /?token=<token> in the browser once.",
    [(b"www-authenticate", b"Bearer")],
)
TOO_SLOW_BODY = _Canned(408, "The request took too long to arrive.", [(b"connection", b"close")])
TOO_SLOW = _Canned(504, "The answer took too long.", [(b"retry-after", b"1")])


class Guard:
    """ASGI middleware around the whole application.

    Args:
        app: to be guarded.
        limits: of size and time.
        token: that has to be presented; None: everybody may ask.
        hosts: names this server answers to, which keeps web pages that point a name of theirs at it out; empty: any.
        full: would a text search have to wait too long?
        observe: called with route, status and seconds of every request.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        token: str | None,
        hosts: Collection[str],
        full: Callable[[], bool],
        observe: Callable[[str, int, float], None],
    ) -> None:
        self.app, self.limits, self.full, self.observe = app, limits, full, observe
        self.hosts = frozenset(_host(name.encode()) for name in hosts)
        self.token = token.encode() if token else None
        self.body_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500
        try:
            status = await self._answer(scope, receive, send)
        finally:
            self.observe(_route(scope["path"]), status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        path = scope["path"]
        # First: under load nothing else may cost time. What is like a picture waits in another queue.
        if path == "/search" and self.full() and b"like=" not in scope["query_string"]:
            return await BUSY(send)
        headers = dict(scope["headers"])
        if self.hosts and _host(headers.get(b"host", b"")) not in self.hosts:
            return await WRONG_HOST(send)
        if self.token is not None and path not in OPEN_PATHS:
            given = _token_of_address(scope) if path == "/" else b""
            if given and hmac.compare_digest(given, self.token):
                return await _let_in(given, send)
            if not self._allowed(headers):
                return await NO_TOKEN(send)
        return await self._run(scope, headers, receive, send)

    def _allowed(self, headers: dict[bytes, bytes]) -> bool:
        assert self.token is not None
        kind, _, value = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() == b"bearer":
            return hmac.compare_digest(value.strip(), self.token)
        try:
            cookie = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode("latin-1"), self.token)

    async def _run(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send) -> int:
        path = scope["path"]
        limit = self.limits.image_bytes if path in ("/search/image", "/embed/image") else self.limits.json_bytes
        too_large = f"The request is larger than {limit:,} bytes."
        # Without a length a body may be as long as the limit, but for a GET's, which is never read.
        undeclared = 0 if scope["method"] in ("GET", "HEAD") else limit
        declared = headers.get(b"content-length", str(undeclared).encode())
        if not declared.isdigit() or int(declared) > limit:
            return await _Canned(413, too_large, [(b"connection", b"close")])(send)
        if self.body_bytes + int(declared) > self.limits.body_bytes:
            return await BUSY(send)
        self.body_bytes += int(declared)
        seen, status, arrived = 0, 0, False

        async def limited() -> Message:
            nonlocal seen, arrived
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise HTTPException(413, too_large, {"connection": "close"})
            arrived = arrived or not message.get("more_body", False)
            return message

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *SECURITY_HEADERS]
            await send(message)

        seconds = self.limits.download_seconds if path.startswith("/images/") else self.limits.seconds
        try:
            async with asyncio.timeout(seconds):
                await self.app(scope, limited, guarded)
        except TimeoutError:
            if status:  # half an answer is out: closing the connection is all that is left to say
                raise
            return await (TOO_SLOW if arrived or scope["method"] == "GET" else TOO_SLOW_BODY)(send)
        finally:
            self.body_bytes -= int(declared)
        return status


def _token_of_address(scope: Scope) -> bytes:
    query: str = scope["query_string"].decode("latin-1")
    return parse_qs(query).get("token", [""])[0].encode()


async def _let_in(token: bytes, send: Send) -> int:
    """Turn the token of the address into a cookie, so that it is in no history and no referrer."""
    cookie = f"{COOKIE}={token.decode()}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000"
    headers = [(b"location", b"/"), (b"set-cookie", cookie.encode()), (b"content-length", b"0"), *SECURITY_HEADERS]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
    return 303


def _host(header: bytes) -> str:
    """``localhost:8000`` → ``localhost``; ``[::1]:8000`` → ``[::1]``."""
    name = header.decode("latin-1").strip().lower()
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]


_ROUTES = frozenset({"/", "/search", "/search/image", "/rank", "/embed/text", "/embed/image", "/images", "/info"})


def _route(path: str) -> str:
    """One of a few names, whatever is asked for: each makes a time series of its own."""
    if path in _ROUTES:
        return path
    first = "/" + [*path.split("/", 2), ""][1]  # OPTIONS * has no path
    return f"{first}/{{id}}" if first in ("/images", "/thumbnails") else "other"
