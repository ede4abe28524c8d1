"""The application: routes, errors and the page."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import Body, FastAPI, Query, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import imtext
from imtext.errors import ImtextError, SearchError
from imtext.search.index import MAX_TOP_K, SearchResult
from imtext.search.query import embed_queries, parse_query, picture_query, unread_words
from imtext.search.ranking import rank_vectors
from imtext.search.server.batching import BusyError
from imtext.search.server.guard import Guard, Limits, problem
from imtext.search.server.messages import (
    BINARY,
    IMAGE_BODY,
    MISSING,
    EmbeddedImage,
    EmbeddedTexts,
    Id,
    Info,
    Problem,
    Ranked,
    Ranking,
    RankPictures,
    RankTexts,
    Relevance,
    Result,
    Results,
    SearchRequest,
    State,
    TextsRequest,
    TopK,
    Words,
    responses,
)
from imtext.search.server.service import Service, Wanted

log = logging.getLogger(__name__)

WEB = Path(__file__).parents[1] / "web"
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
SERVE_EXTRA = 'Install what serving needs: pip install "imtext[serve]" (in a clone: uv sync --all-extras)'


def create_app(
    index: str | Path,
    token: str | None = None,
    hosts: Collection[str] = LOOPBACK,
    cors_origins: Sequence[str] = (),
    limits: Limits | None = None,
) -> FastAPI:
    """The API and the page for one index, as an ASGI application.

    Args:
        index: its folder.
        token: that has to be presented with every request; None: everybody who reaches the server may ask.
        hosts: names it answers to; empty: any. The default keeps web pages that rebind their name to this machine out.
        cors_origins: other origins whose pages may ask.
        limits: of size, time and queues.

    Raises:
        SearchError: there is no index, or the token is too short.
        BundleError: its bundle is damaged.
        ImtextError: a package for serving is missing.
    """
    try:
        from prometheus_client import CollectorRegistry
    except ImportError as error:
        raise ImtextError(SERVE_EXTRA) from error

    if token is not None and not re.fullmatch(r"[A-Za-z0-9_-]{8,}", token):
        raise SearchError("A token has 8 or more letters, digits, - and _")
    limits = limits or Limits()
    service = Service(Path(index), limits)
    registry = CollectorRegistry()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(service.follow())
        # What is there now stays for good; to look through it for garbage would stop everybody for 30 ms each time.
        gc.collect()
        gc.freeze()
        yield
        following.cancel()
        service.close()

    app = FastAPI(
        title="imtext",
        version=imtext.__version__,
        description="Search pictures by words or by another picture.",
        lifespan=lifespan,
        docs_url=None,  # they load scripts from another network
        redoc_url=None,
        responses=responses(),
    )
    app.state.service = service
    app.openapi = partial(_openapi, app)  # type: ignore[method-assign]
    app.exception_handlers |= {
        HTTPException: _on_http, RequestValidationError: _on_invalid, SearchError: _on_search_error,
        BusyError: _on_busy, ClientDisconnect: _on_gone, Exception: _on_bug,
    }  # fmt: skip
    _add_searching(app, service)
    _add_embedding(app, service)
    _add_pictures(app, service)
    _add_state(app, service, registry)
    _add_page(app)
    app.add_middleware(
        Guard, limits=limits, token=token, hosts=hosts, full=lambda: service.searches.full, observe=_counter(registry)
    )
    if cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(cors_origins), allow_methods=["GET", "POST"], allow_headers=["*"]
        )
    return app


IMAGE_TYPES = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif",
    ".bmp": "image/bmp", ".tif": "image/tiff", ".tiff": "image/tiff",
}  # fmt: skip


def _add_searching(app: FastAPI, service: Service) -> None:
    async def by_words(query: str, top_k: int, min_relevance: float) -> Results:
        started = time.perf_counter()
        terms = parse_query(query, pictures=False)
        results = await service.searches.submit(Wanted(terms, top_k, min_relevance))
        unknown, _ = unread_words(terms, service.index.encoder.tokenizer)
        return _results(service, results, started, unknown)

    @app.get(
        "/search",
        tags=["search"],
        summary="Search by words, or for what is like a picture of the index",
        responses=responses(MISSING),
    )
    async def search(
        q: Annotated[Words | None, Query()] = None,
        like: Annotated[Id | None, Query()] = None,
        top_k: Annotated[TopK, Query()] = 10,
        min_relevance: Annotated[Relevance, Query()] = 0.0,
    ) -> Results:
        if (q is None) == (like is None):
            raise SearchError("Say what to look for: either q=<words> or like=<id of a picture>")
        if q is not None:
            return await by_words(q, top_k, min_relevance)
        started = time.perf_counter()
        return _results(service, await service.on_picture(service.like_picture, like, top_k), started)

    @app.post("/search", tags=["search"], summary="Search by words")
    async def search_post(wanted: SearchRequest) -> Results:
        return await by_words(wanted.query, wanted.top_k, wanted.min_relevance)

    @app.post("/search/image", tags=["search"], summary="Search by an uploaded picture", openapi_extra=IMAGE_BODY)
    async def search_image(request: Request, top_k: Annotated[TopK, Query()] = 10) -> Results:
        started = time.perf_counter()
        return _results(service, await service.on_picture(service.like_upload, await _body(request), top_k), started)

    @app.post(
        "/rank",
        tags=["search"],
        summary="Order pictures by words, or texts by a picture",
        responses=responses(MISSING),
    )
    async def rank(
        wanted: Annotated[
            RankPictures | RankTexts,
            Body(
                openapi_examples={
                    "pictures": {"value": {"query": "a dog", "ids": ["0" * 32]}},
                    "texts": {"value": {"id": "0" * 32, "texts": ["a dog", "a cat"]}},
                }
            ),
        ],
    ) -> Ranking:
        return await service.on_picture(_rank, service, wanted)


def _results(service: Service, found: Sequence[SearchResult], started: float, unknown: Sequence[str] = ()) -> Results:
    names = service.names([one.path for one in found])
    results = [
        Result(id=one.id, name=name, score=one.score, relevance=one.relevance, copies=len(one.copies))
        for one, name in zip(found, names, strict=True)
    ]
    return Results(
        results=results,
        total=service.index.store.size,
        unknown_words=list(unknown),
        milliseconds=round(1000 * (time.perf_counter() - started), 2),
    )


def _rank(service: Service, wanted: RankPictures | RankTexts) -> Ranking:
    index, known = service.index, None
    if isinstance(wanted, RankPictures):
        query = embed_queries([parse_query(wanted.query, pictures=False)], index.encoder)[0]
        vectors = np.stack([service.vector(index, id) for id in wanted.ids])
    else:
        query = picture_query(service.vector(index, wanted.id), calibrated=True)
        vectors = index.encoder.encode_texts(wanted.texts)
        known = [index.encoder.tokenizer.knows(text) for text in wanted.texts]
    return Ranking(
        results=[
            Ranked(
                text=wanted.texts[match.place] if isinstance(wanted, RankTexts) else None,
                id=wanted.ids[match.place] if isinstance(wanted, RankPictures) else None,
                score=match.score,
                relevance=match.relevance,
                position=match.place,
            )
            for match in rank_vectors(query, vectors, index.bundle.calibration, known=known)
        ]
    )


def _add_embedding(app: FastAPI, service: Service) -> None:
    @app.post("/embed/text", tags=["embed"], summary="Texts to vectors")
    async def embed_text(wanted: TextsRequest) -> EmbeddedTexts:
        index = service.index
        vectors = await service.on_picture(index.encoder.encode_texts, wanted.texts)
        return EmbeddedTexts(embeddings=vectors.tolist(), fingerprint=index.bundle.fingerprint)

    @app.post("/embed/image", tags=["embed"], summary="A picture to a vector", openapi_extra=IMAGE_BODY)
    async def embed_image(request: Request) -> EmbeddedImage:
        vector, index = await service.on_picture(service.embed_upload, await _body(request))
        return EmbeddedImage(embedding=vector.tolist(), fingerprint=index.bundle.fingerprint)


async def _body(request: Request) -> bytes:
    """All of an upload; the guard stops it at the limit."""
    content = await request.body()
    if not content:
        raise SearchError("The request has no picture in it: send the file's bytes as the body")
    return content


def _add_pictures(app: FastAPI, service: Service) -> None:
    for_ever = {"cache-control": "private, max-age=31536000, immutable"}  # an id names a content

    @app.get("/images", tags=["pictures"], summary="What is in the index, in the order of its coming")
    async def images(
        offset: Annotated[int, Query(ge=0, le=2**53)] = 0, limit: Annotated[int, Query(ge=1, le=MAX_TOP_K)] = 60
    ) -> Results:
        started = time.perf_counter()

        def some() -> list[SearchResult]:
            index = service.index
            ids = index.store.ids(offset, limit)
            held = index.store.held(ids)
            return [
                SearchResult(first.path, 0.0, None, first.content.hex(), tuple(one.path for one in others))
                for first, *others in (held[id] for id in ids if id in held)
            ]

        page = _results(service, await service.on_picture(some), started)
        for result in page.results:
            result.score = None
        return page

    @app.get(
        "/images/{id}",
        tags=["pictures"],
        summary="A picture as it is on disk; answers range requests",
        response_class=FileResponse,
        responses={
            200: {
                "description": "The file.",
                "content": {"image/*": BINARY},
            },
            206: {"description": "A part of it.", "content": {"image/*": {}}},
            416: {"description": "It has no such part.", "content": {"text/plain": {}}},
            **responses(MISSING),
            400: {"description": "The Range header makes no sense.", "content": {"text/plain": {}}},
        },
    )
    async def image(id: Annotated[Id, PathParameter()]) -> FileResponse:
        path, state = await service.on_picture(service.file, id)
        # Never what a name such as a.html would ask for: the page's own origin must not run what lies in a folder.
        kind = IMAGE_TYPES.get(Path(path).suffix.lower(), "application/octet-stream")
        return FileResponse(path, media_type=kind, stat_result=state, headers=for_ever)

    @app.get(
        "/thumbnails/{id}",
        tags=["pictures"],
        summary="A picture as a small JPEG",
        response_class=Response,
        responses={
            200: {
                "description": "JPEG.",
                "content": {"image/jpeg": BINARY},
            },
            **responses(MISSING),
        },
    )
    async def thumbnail(
        id: Annotated[Id, PathParameter()],
        size: Annotated[Literal["320", "1600"], Query(description="Pixels of the longer side.")] = "320",
    ) -> Response:
        content = await service.on_picture(service.thumbnail, id, int(size))
        return Response(content, media_type="image/jpeg", headers=for_ever)


def _add_state(app: FastAPI, service: Service, registry: Any) -> None:
    from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

    for name, text, value in (
        ("imtext_pictures", "Pictures in the index", lambda: service.index.store.size),
        ("imtext_reloads", "Times the index was read anew", lambda: service.reloads),
        ("imtext_waiting_searches", "Text searches that wait for a batch", lambda: service.searches.waiting),
        ("imtext_pictures_at_work", "Requests that read or decode a picture", lambda: service.pictures_at_work),
    ):
        Gauge(name, text, registry=registry).set_function(value)

    @app.get("/health", tags=["state"], summary="Is the process alive?")
    async def health() -> State:
        return State(status="ok")

    @app.get("/ready", tags=["state"], summary="Can it search?")
    async def ready() -> State:
        return State(status="ok")  # it listens from when it can search until it has to stop

    @app.get("/info", tags=["state"], summary="What is served")
    async def info() -> Info:
        index = service.index
        calibration = index.bundle.calibration
        return Info(
            pictures=index.store.size,
            model=index.bundle.manifest["name"],
            embed_dim=index.bundle.embed_dim,
            fingerprint=index.bundle.fingerprint,
            min_relevance=calibration.min_relevance if calibration else None,
            version=imtext.__version__,
        )

    @app.get(
        "/metrics",
        tags=["state"],
        summary="Figures for Prometheus",
        response_class=Response,
        responses={200: {"description": "Text.", "content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})


def _counter(registry: Any) -> Callable[[str, int, float], None]:
    from prometheus_client import Counter, Histogram

    requests = Counter("imtext_requests", "Requests answered", ["route", "status"], registry=registry)
    seconds = Histogram(
        "imtext_request_seconds",
        "Time to answer",
        ["route"],
        registry=registry,
        buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10),
    )

    def observe(route: str, status: int, elapsed: float) -> None:
        requests.labels(route, status).inc()
        seconds.labels(route).observe(elapsed)

    return observe


def _add_page(app: FastAPI) -> None:
    for name, kind in (("index.html", "text/html"), ("app.js", "text/javascript"), ("style.css", "text/css")):
        content = (WEB / name).read_bytes()

        async def page(content: bytes = content, kind: str = kind) -> Response:
            return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

        app.add_api_route("/" if name == "index.html" else f"/{name}", page, include_in_schema=False)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description that FastAPI makes, with errors in the format they really have."""
    if app.openapi_schema is None:
        described = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        described["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        app.openapi_schema = described
    return app.openapi_schema


# ---- errors


def _answer(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(problem(status, detail), status, headers, media_type="application/problem+json")


async def _on_http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _answer(error.status_code, str(error.detail), dict(error.headers or {}))


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    wrong = error.errors()[0]
    if wrong["type"] == "json_invalid":
        return _answer(400, "The body is no JSON.")
    place = ".".join(str(part) for part in wrong["loc"][1:]) or "The body"
    return _answer(422, f"{place}: {wrong['msg']}".encode("utf-8", "replace").decode())


async def _on_search_error(_: Request, error: Exception) -> JSONResponse:
    return _answer(422, str(error).encode("utf-8", "replace").decode())


async def _on_busy(_: Request, error: Exception) -> JSONResponse:
    return _answer(503, "Too many requests at once. Try again in a second.", {"retry-after": "1"})


async def _on_gone(_: Request, error: Exception) -> Response:
    """Whoever asked has left in the middle of an upload; nobody reads this answer, but it is counted."""
    return Response(status_code=400)


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _answer(500, "Something went wrong; the server's log has more.")
