"""Pictures: lists, files and thumbnails, by id only."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, Response

from imtext.preprocess import FORMATS
from imtext.preprocess.formats import HEAD, sniff
from imtext.search.files import picture_of
from imtext.search.index import MAX_TOP_K
from imtext.search.index.kinds import kind_of
from imtext.search.server.messages import BINARY, MISSING, Id, Results, responses
from imtext.search.server.problems import readable
from imtext.search.server.service import Service

IMMUTABLE = {"cache-control": "private, max-age=31536000, immutable"}  # the content of an id never changes
FILE_RESPONSES = {
    200: {"description": "The file.", "content": {"image/*": BINARY}},
    206: {"description": "A part of it.", "content": {"image/*": {}}},
    416: {"description": "The file has no such part.", "content": {"text/plain": {}}},
    **responses(MISSING),
    400: {"description": "The Range header is not valid.", "content": {"text/plain": {}}},
}
THUMBNAIL_RESPONSES = {
    200: {"description": "JPEG.", "content": {"image/jpeg": BINARY}},
    **responses(MISSING),
}


def _content_elsewhere(path: str) -> bytes | None:
    """The content of a file of an object store or in a shard; None for a file of this machine."""
    with readable(path):
        source = picture_of(path)
    return source if isinstance(source, bytes) else None


def _media_type(kind: str) -> str:
    """That of the content: a file with a name such as a.html must not run in the page's origin."""
    return f"image/{kind.lower()}" if kind in FORMATS else "application/octet-stream"


def picture_routes(service: Service) -> APIRouter:
    """`/images`, `/images/{id}` and `/thumbnails/{id}`."""
    router = APIRouter(tags=["pictures"])

    @router.get("/images", summary="The pictures of the index, in the order in which they were added")
    async def images(
        offset: Annotated[int, Query(ge=0, le=2**53)] = 0, limit: Annotated[int, Query(ge=1, le=MAX_TOP_K)] = 60
    ) -> Results:
        started = time.perf_counter()
        page = service.results(await service.run(service.list_pictures, offset, limit), started)
        for result in page.results:
            result.score = None
        return page

    @router.get(
        "/images/{id}",
        summary="The file of a picture; supports range requests",
        response_class=FileResponse,
        responses=FILE_RESPONSES,
    )
    async def image(id: Annotated[Id, PathParameter()]) -> Response:
        path, state = await service.run(service.file, id)
        if (content := await service.run(_content_elsewhere, path)) is not None:
            return Response(content, media_type=_media_type(sniff(content[:HEAD])), headers=IMMUTABLE)
        media_type = _media_type(await service.run(kind_of, path))
        return FileResponse(path, media_type=media_type, stat_result=state, headers=IMMUTABLE)

    @router.get(
        "/thumbnails/{id}", summary="A picture as a small JPEG", response_class=Response, responses=THUMBNAIL_RESPONSES
    )
    async def thumbnail(
        id: Annotated[Id, PathParameter()],
        size: Annotated[Literal["320", "1600"], Query(description="Pixels of the longer side.")] = "320",
    ) -> Response:
        content = await service.run(service.thumbnail, id, int(size))
        return Response(content, media_type="image/jpeg", headers=IMMUTABLE)

    return router
