"""Middleware between the network and the application: access, size and time limits, and request metrics."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Collection
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imtext.search.server.limits import Limits
from imtext.search.server.refusals import BUSY, NO_TOKEN, SECURITY_HEADERS, TOO_SLOW, TOO_SLOW_BODY, WRONG_HOST, Refusal

COOKIE = "imtext_token"
OPEN_PATHS = ("/health", "/ready")  # served without a token: load balancers have none
MAX_DIGITS = 18  # of a length; Python refuses to convert thousands of them
PAGES = ("/", "/docs")  # a browser opens them with ?token= once


class Guard:
    """ASGI middleware around the whole application.

    Args:
        app: the application behind it.
        limits: limits of size and time.
        token: required with every request; None admits every client.
        hosts: host names that this server serves, against DNS rebinding by other web pages; empty admits every name.
        full: tells whether the queue of text searches is full.
        observe: called with the route, the status and the seconds of every request.
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
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500
        try:
            status = await self._respond(scope, receive, send)
        finally:
            self.observe(route_of(scope), status, time.perf_counter() - started)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> int:
        path = _path(scope)
        # First, because refusals must be cheap under load. Searches by picture wait in another queue.
        if path == "/search" and self.full() and b"like=" not in scope["query_string"]:
            return await BUSY(send)
        headers = dict(scope["headers"])
        if self.hosts and _host(headers.get(b"host", b"")) not in self.hosts:
            return await WRONG_HOST(send)
        if self.token is not None and path not in OPEN_PATHS:
            given = _token_of_address(scope) if path in PAGES else b""
            if given and hmac.compare_digest(given, self.token):
                return await _admit(given, scope, send)
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
        path = _path(scope)
        limit = self.limits.image_bytes if path in ("/search/image", "/embed/image") else self.limits.json_bytes
        too_large = f"The request is larger than {limit:,} bytes."
        # A body without Content-Length counts as if it had the maximum size. The body of a GET is never read.
        undeclared = 0 if scope["method"] in ("GET", "HEAD") else limit
        declared = headers.get(b"content-length", str(undeclared).encode())
        if not declared.isdigit() or len(declared) > MAX_DIGITS or int(declared) > limit:
            return await Refusal(413, too_large, [(b"connection", b"close")])(send)
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

        seconds = self.limits.seconds
        if path == "/zip":
            seconds = self.limits.zip_seconds
        elif path.startswith("/images/"):
            seconds = self.limits.download_seconds
        try:
            async with asyncio.timeout(seconds):
                await self.app(scope, limited, guarded)
        except TimeoutError:
            if status:  # part of the response has been sent, so only closing the connection can tell the client
                raise
            return await (TOO_SLOW if arrived or scope["method"] == "GET" else TOO_SLOW_BODY)(send)
        finally:
            self.body_bytes -= int(declared)
        return status


def _token_of_address(scope: Scope) -> bytes:
    query: str = scope["query_string"].decode("latin-1")
    return parse_qs(query).get("token", [""])[0].encode()


async def _admit(token: bytes, scope: Scope, send: Send) -> int:
    """Move the token from the address into a cookie, so that it stays out of browser histories and referrers."""
    location = _path(scope)[1:] or "./"  # relative, because a proxy may have removed a prefix
    place = f"{scope.get('root_path', '')}/"  # other programs on this host do not get it
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    cookie = f"{COOKIE}={token.decode()}; Path={place}; HttpOnly; SameSite=Strict; Max-Age=2592000{secure}"
    headers = [
        (b"location", location.encode()), (b"set-cookie", cookie.encode()), (b"content-length", b"0"),
        (b"cache-control", b"no-store"), *SECURITY_HEADERS,
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
    return 303


def _path(scope: Scope) -> str:
    """The path below the prefix of a proxy or of an application that this one is mounted in."""
    path: str = scope["path"]
    prefix: str = scope.get("root_path", "")
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path


def _host(header: bytes) -> str:
    """``localhost:8000`` → ``localhost``; ``[::1]:8000`` → ``[::1]``."""
    name = header.decode("latin-1").strip().lower()
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]


_ROUTES = frozenset(
    (
        "/", "/docs", "/search", "/search/image", "/rank", "/embed/text", "/embed/image", "/images", "/info",
        "/timeline", "/pictures", "/zip", "/update", "/duplicates", "/health", "/ready", "/metrics",
    )
)  # fmt: skip


def route_of(scope: Scope) -> str:
    """The route of a request, one of a few names, because Prometheus stores a time series for each name."""
    path = _path(scope)
    if path in _ROUTES:
        return path
    first = "/" + [*path.split("/", 2), ""][1]  # OPTIONS * has no path
    return f"{first}/{{id}}" if first in ("/images", "/thumbnails", "/pictures") else "other"
