"""HTTP as uvicorn speaks it with httptools, with limits on what comes before the guard hears of a request."""

from __future__ import annotations

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from imtext.search.server.guard import problem

HEAD_BYTES = 64_000
HEAD_SECONDS = 10.0


class BoundedProtocol(HttpToolsProtocol):
    """Ends connections whose request line and headers are too long, or too long in coming.

    Silence between two requests is uvicorn's business (``timeout_keep_alive``), a slow body is the guard's.
    """

    _unread = 0  # bytes since the parser last had something whole
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first head is due."""
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Part of a head, or of a body."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > HEAD_BYTES:
            self._refuse()
        elif self._late is None and self.cycle.response_complete:  # the next head, or what nobody waits for any more
            self._late = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def on_headers_complete(self) -> None:
        """A head is there."""
        self._unread = 0
        super().on_headers_complete()
        self._in_time()

    def on_body(self, body: bytes) -> None:
        """Part of a body; the guard counts it."""
        self._unread = 0
        super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._in_time()
        super().connection_lost(exc)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:  # no place for a word in the middle of another
            self.transport.abort()
            return
        body = json.dumps(problem(431, f"The address and the headers are longer than {HEAD_BYTES:,} bytes.")).encode()
        head = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        self.transport.close()
