"""uvicorn's HTTP protocol with limits on the request head, which the guard does not see before it is complete."""

from __future__ import annotations

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from imtext.search.server.refusals import problem

HEAD_BYTES = 64_000
HEAD_SECONDS = 10.0


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose request line and headers are too long or arrive too slowly.

    uvicorn limits the time between two requests (``timeout_keep_alive``); the guard limits slow bodies.
    """

    _unread = 0  # bytes since the parser last completed a head or a part of a body
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit of the first head."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Count a part of a head or of a body."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > HEAD_BYTES:
            self._refuse()
        elif self._timer is None and self.cycle.response_complete:  # the next head has begun
            self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def on_headers_complete(self) -> None:
        """A head is complete: stop its time limit."""
        self._unread = 0
        super().on_headers_complete()
        self._stop_timer()

    def on_body(self, body: bytes) -> None:
        """A part of a body, which the guard counts."""
        self._unread = 0
        super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limit."""
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self) -> None:
        if (
            self.cycle is not None and not self.cycle.response_complete
        ):  # a response is being sent, so another cannot be sent
            self.transport.abort()
            return
        body = json.dumps(
            problem(431, f"The request line and the headers are longer than {HEAD_BYTES:,} bytes.")
        ).encode()
        head = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        self.transport.close()
