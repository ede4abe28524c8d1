"""Run the application on a socket until it is stopped."""

from __future__ import annotations

import asyncio
import functools
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from imtext.errors import SearchError
from imtext.search.server.app import LOOPBACK, create_app

DRAIN_SECONDS = 10


def serve(
    index: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    anyone: bool = False,
    cors_origins: Sequence[str] = (),
    names: Sequence[str] = (),
    root_path: str = "",
    approximate: bool = False,
    log: bool = False,
    started: Callable[[str, int], None] = lambda url, pictures: None,
) -> None:
    """Serve an index until SIGINT or SIGTERM. Running requests are finished first.

    Args:
        index: folder of the index.
        host: address to listen on.
        port: port to listen on; 0 chooses a free port.
        token: required with every request.
        anyone: admit clients from other machines without a token.
        cors_origins: other origins whose pages may send requests.
        names: additional host names to serve, such as the name that a reverse proxy passes on. A server that listens
            on an address other than this machine's own serves every name.
        root_path: prefix of the addresses that a reverse proxy removes, such as ``/photos``.
        approximate: search faster, and miss a few of the nearest pictures; see `Index`.
        log: write a line of JSON to standard error after each request.
        started: called with the address and the number of pictures when the server accepts requests.

    Raises:
        SearchError: there is no index, the port is taken, or other machines could search without a token.
    """
    hosts = hosts_to_serve(host, token, anyone, names)
    write = functools.partial(print, file=sys.stderr, flush=True) if log else None
    app = create_app(index, token, hosts, cors_origins, approximate=approximate, log=write)
    run_app(app, host, port, lambda url: started(url, app.state.service.total()), root_path)


def hosts_to_serve(host: str, token: str | None, anyone: bool, names: Sequence[str]) -> tuple[str, ...]:
    """The host names that a server on this address serves; none: every name.

    Raises:
        SearchError: other machines could search without a token.
    """
    local = host in ("127.0.0.1", "localhost", "::1")
    if not local and token is None and not anyone:
        raise SearchError(
            f"--host {host} opens the pictures to every client that reaches this machine. Add --token <secret>, or "
            "--anyone to allow that"
        )
    return (*LOOPBACK, *names) if local else ()


def run_app(app: ASGIApp, host: str, port: int, started: Callable[[str], None], root_path: str = "") -> None:
    """Run an application until SIGINT or SIGTERM; `started` is called with its address.

    Raises:
        SearchError: the port is taken.
    """
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    config = uvicorn.Config(
        app,
        http=_protocol(),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        root_path=f"/{root_path.strip('/')}" if root_path.strip("/") else "",
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_keep_alive=30,
        backlog=512,
    )
    server = uvicorn.Server(config)
    # uvicorn raises the signal again after a clean shutdown, which would end the process with an error.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    started(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    server.run(sockets=[listening])


def _protocol() -> type[asyncio.Protocol] | str:
    try:
        from imtext.search.server.protocol import BoundedProtocol
    except ImportError:  # no httptools: uvicorn uses h11, which limits the size of a head by itself, but not its time
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
        raise SearchError(f"Cannot listen on {host}, port {port}: {error.strerror}. Try another --port") from error
    return listening
