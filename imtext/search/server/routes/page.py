"""The page and that of the API: static files without a build step, and without content from other hosts."""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter
from fastapi.responses import Response

WEB = Path(__file__).parents[2] / "web"
SWAGGER_UI = Path(fastapi_offline.__file__).with_name("static")
PAGES = {"index.html": "/", "docs.html": "/docs"}
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


def page_routes() -> APIRouter:
    """`/`, `/docs` and the files that they load."""
    router = APIRouter(include_in_schema=False)
    for file in sorted(path for path in (*WEB.iterdir(), *SWAGGER_UI.glob("swagger-ui*")) if path.suffix in TYPES):
        content, kind = file.read_bytes(), TYPES[file.suffix]

        async def page(content: bytes = content, kind: str = kind) -> Response:
            return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

        router.add_api_route(PAGES.get(file.name, f"/{file.name}"), page)
    return router
