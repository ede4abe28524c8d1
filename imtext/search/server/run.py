"""Running the application on a socket, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from imtext.errors import ImtextError, SearchError
from imtext.search.server.app import LOOPBACK, SERVE_EXTRA, create_app

DRAIN_SECONDS = 10


def serve(
    index: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    anyone: bool = False,
    cors_origins: Sequence[str] = (),
    names: Sequence[str] = (),
    started: Callable[[str, int], None] = lambda url, pictures: None,
) -> None:
    """Serve an index until SIGINT or SIGTERM; requests that are under way are finished.

    Args:
        index: its folder.
        host: to listen at.
        port: to listen at; 0: any that is free.
        token: that has to be presented.
        anyone: may others than this machine ask without a token?
        cors_origins: other origins whose pages may ask.
        names: it answers to beside those of this machine, such as the one a reverse proxy passes on; another host
            answers to any.
        started: called with the address and the number of pictures when requests can come.

    Raises:
        SearchError: there is no index, the port is taken, or it would be open to others.
        ImtextError: a package for serving is missing.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise ImtextError(SERVE_EXTRA) from error

    local = host in ("127.0.0.1", "localhost", "::1")
    if not local and token is None and not anyone:
        raise SearchError(
            f"--host {host} opens the pictures to everybody who reaches this machine. Add --token <secret>, or "
            "--anyone if that is meant"
        )
    app = create_app(index, token, (*LOOPBACK, *names) if local else (), cors_origins)
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    config = uvicorn.Config(
        app,
        http=_protocol(),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_keep_alive=30,
        backlog=512,
    )
    server = uvicorn.Server(config)
    # uvicorn raises the signal again when all is done; that is a proper end, not a crash.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    service = app.state.service
    started(f"http://{f'[{host}]' if ':' in host else host}:{port}", service.index.store.size)
    server.run(sockets=[listening])


def _protocol() -> type[asyncio.Protocol] | str:
    try:
        from imtext.search.server.protocol import BoundedProtocol
    except ImportError:  # no httptools: uvicorn takes h11, which knows a limit of size by itself, though none of time
        return "h11"
    return BoundedProtocol


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, _, _, address = found[0]
        listening = socket.socket(family, kind)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(512)
    except OSError as error:
        raise SearchError(f"Cannot listen at {host}, port {port}: {error.strerror}. Try another --port") from error
    return listening
