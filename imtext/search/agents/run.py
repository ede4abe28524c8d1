"""Run the tools over standard input and output, or over HTTP behind the guard of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from imtext.search.agents.tools import create_tools
from imtext.search.server.app import check_token, following
from imtext.search.server.guard import Guard
from imtext.search.server.limits import Limits
from imtext.search.server.run import hosts_to_serve, run_app
from imtext.search.server.service import Service

PATH = "/mcp"


def serve_stdio(index: Path) -> None:
    """Serve one agent, which started this process, until it closes standard input.

    Raises:
        SearchError: there is no index.
    """
    service = Service(index, Limits())

    async def run() -> None:
        async with following(service):
            await create_tools(service).run_stdio_async()

    asyncio.run(run())


def serve_http(
    index: Path,
    host: str = "127.0.0.1",
    port: int = 8001,
    token: str | None = None,
    anyone: bool = False,
    names: Sequence[str] = (),
    started: Callable[[str, int], None] = lambda url, pictures: None,
) -> None:
    """Serve agents over streamable HTTP until SIGINT or SIGTERM; the arguments are those of the server.

    Raises:
        SearchError: as for the server.
    """
    hosts = hosts_to_serve(host, token, anyone, names)
    check_token(token)
    service = Service(index, Limits())
    run_app(create_http_app(service, token, hosts), host, port, lambda url: started(url + PATH, service.total()))


def create_http_app(service: Service, token: str | None, hosts: Collection[str]) -> Starlette:
    """The tools as an ASGI application. Each request stands alone, so there are no sessions to limit.

    Args:
        service: closed with the application.
        token: required with every request; None admits every client.
        hosts: host names to serve, and whose pages may send requests; empty admits every name.
    """
    tools = create_tools(service)
    with_ports = [f"{host}{port}" for host in hosts for port in ("", ":*")]
    inner = tools.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=service.limits.json_bytes,
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=bool(hosts),
            allowed_hosts=with_ports,
            allowed_origins=[f"{scheme}://{host}" for scheme in ("http", "https") for host in with_ports],
        ),
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with following(service), tools.session_manager.run():
            yield

    guard = Middleware(
        Guard, limits=service.limits, token=token, hosts=hosts, full=lambda: False, observe=lambda *_: None
    )
    # Without GET: a stream of messages from the server, of which there are none.
    return Starlette(routes=[Route(PATH, inner, methods=["POST"])], middleware=[guard], lifespan=lifespan)
