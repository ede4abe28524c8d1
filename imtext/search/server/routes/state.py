"""Health, facts and metrics of the server."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

import imtext
from imtext.search.filters import NO_FILTERS
from imtext.search.index.journal import read_update
from imtext.search.server.messages import Info, State, UpdateState
from imtext.search.server.service import Service

METRICS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "Text.", "content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}
}


def state_routes(service: Service, registry: CollectorRegistry) -> APIRouter:
    """`/health`, `/ready`, `/info`, `/update` and `/metrics`."""
    router = APIRouter(tags=["state"])

    @router.get("/health", summary="Whether the process is alive")
    async def health() -> State:
        return State(status="ok")

    @router.get("/ready", summary="Whether the server can search")
    async def ready() -> State:
        return State(status="ok")  # the server only listens while it can search

    @router.get("/info", summary="Facts about the index and its model")
    async def info() -> Info:
        index = service.index
        reranker = index.bundle.reranker
        calibration = (reranker or index.bundle).calibration
        return Info(
            pictures=service.total(),
            model=index.bundle.manifest["name"],
            embed_dim=index.bundle.embed_dim,
            fingerprint=index.bundle.fingerprint,
            min_relevance=calibration.min_relevance if calibration else None,
            version=imtext.__version__,
            rerank_top_k=service.reranked(None),
        )

    @router.get("/update", summary="The update of the index that runs, and what the last one left out")
    async def update() -> UpdateState:
        def read() -> UpdateState:
            version = service.index.store.by_date(NO_FILTERS).version
            return UpdateState(version=str(version), pictures=service.total(), **asdict(read_update(service.folder)))

        return await service.run(read)

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=Response, responses=METRICS_RESPONSES)
    async def metrics() -> Response:
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    return router
