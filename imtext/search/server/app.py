"""The application: the API and the page over one index."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from pathlib import Path

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

import imtext
from imtext.errors import SearchError
from imtext.search.server.guard import Guard
from imtext.search.server.limits import Limits
from imtext.search.server.messages import responses
from imtext.search.server.problems import describe_problems
from imtext.search.server.prometheus import measure_service, request_observer
from imtext.search.server.request_log import RequestLog
from imtext.search.server.routes.browsing import browse_routes
from imtext.search.server.routes.downloading import download_routes
from imtext.search.server.routes.duplicates import duplicate_routes
from imtext.search.server.routes.embedding import embed_routes
from imtext.search.server.routes.page import page_routes
from imtext.search.server.routes.pictures import picture_routes
from imtext.search.server.routes.searching import search_routes
from imtext.search.server.routes.state import state_routes
from imtext.search.server.service import Service

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def create_app(
    index: str | Path,
    token: str | None = None,
    hosts: Collection[str] = LOOPBACK,
    cors_origins: Sequence[str] = (),
    limits: Limits | None = None,
    approximate: bool = False,
    log: Callable[[str], object] | None = None,
) -> FastAPI:
    """The API and the page for one index, as an ASGI application.

    Args:
        index: folder of the index.
        token: required with every request; None admits every client that reaches the server.
        hosts: host names that the server serves; empty admits every name. The default stops web pages that rebind
            their host name to this machine.
        cors_origins: other origins whose pages may send requests.
        limits: limits of size, time and queues.
        approximate: search faster, and miss a few of the nearest pictures; see `Index`.
        log: called with a line of JSON after each request.

    Raises:
        SearchError: there is no index, or the token is too short.
        BundleError: the index's bundle is damaged.
    """
    check_token(token)
    limits = limits or Limits()
    service = Service(Path(index), limits, approximate)
    registry = measure_service(service)
    app = FastAPI(
        title="imtext",
        version=imtext.__version__,
        description="Search pictures by words or by another picture.",
        lifespan=lambda _: following(service),
        docs_url=None,  # these pages load scripts from another host; ours is in `page_routes`
        redoc_url=None,
        redirect_slashes=False,  # to an absolute address, which a proxy may have changed
        responses=responses(),
    )
    app.state.service = service
    describe_problems(app, with_token=token is not None)
    for routes in (search_routes, embed_routes, browse_routes, picture_routes, duplicate_routes, download_routes):
        app.include_router(routes(service))
    app.include_router(state_routes(service, registry))
    app.include_router(page_routes())
    app.add_middleware(
        Guard,
        limits=limits,
        token=token,
        hosts=hosts,
        full=lambda: service.searches.full,
        observe=request_observer(registry),
    )
    if cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(cors_origins), allow_methods=["GET", "POST"], allow_headers=["*"]
        )
    if log is not None:
        app.add_middleware(RequestLog, write=log)
    return app


def check_token(token: str | None) -> None:
    """Refuse a token that is easy to guess or that a cookie cannot hold.

    Raises:
        SearchError: it has other characters, or too few.
    """
    if token is not None and not re.fullmatch(r"[A-Za-z0-9_-]{8,}", token):
        raise SearchError("A token must consist of 8 or more letters, digits, - and _")


@contextlib.asynccontextmanager
async def following(service: Service) -> AsyncIterator[None]:
    """Load new commits of the index in the background; at the end, close the service."""
    task = asyncio.create_task(service.follow())
    # The objects that exist now are never freed. A full garbage collection of them would stop all requests for 30 ms.
    gc.collect()
    gc.freeze()
    yield
    task.cancel()
    service.close()
