"""A line of JSON for each request, for programs that collect logs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imtext.search.server.guard import route_of

ID_HEADER = b"x-request-id"
ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestLog:
    """ASGI middleware that writes a line for each request: when, what kind, how it ended; never what was asked.

    A request keeps the id that a proxy gave it in ``X-Request-ID``; others get one. The response has it, too.

    Args:
        app: the application behind it.
        write: called with each line.
    """

    def __init__(self, app: ASGIApp, write: Callable[[str], object]) -> None:
        self.app, self.write = app, write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, started, status = datetime.now(UTC), time.perf_counter(), 500
        given = dict(scope["headers"]).get(ID_HEADER, b"")
        id = given if ID.fullmatch(given) else uuid4().hex.encode()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), (ID_HEADER, id)]}
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            line = {
                "time": begun.isoformat(timespec="milliseconds"),
                "method": scope["method"],
                "route": route_of(scope),  # not the path: a path is chosen by the client
                "status": status,
                "milliseconds": round(1000 * (time.perf_counter() - started), 2),
                "request_id": id.decode(),
            }
            self.write(json.dumps(line))
