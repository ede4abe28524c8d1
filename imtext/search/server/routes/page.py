"""The page: static files without a build step, and without content from other hosts."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

WEB = Path(__file__).parents[2] / "web"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


def page_routes() -> APIRouter:
    """`/` and the files that `index.html` loads."""
    router = APIRouter(include_in_schema=False)
    for file in sorted(path for path in WEB.iterdir() if path.suffix in TYPES):
        content, kind = file.read_bytes(), TYPES[file.suffix]

        async def page(content: bytes = content, kind: str = kind) -> Response:
            return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

        router.add_api_route("/" if file.name == "index.html" else f"/{file.name}", page)
    return router
