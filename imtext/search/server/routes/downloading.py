"""Several pictures in one download."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from imtext.errors import SearchError
from imtext.search.files import length_of
from imtext.search.server.archive import Member, archive, archive_size
from imtext.search.server.limits import Limits
from imtext.search.server.messages import BINARY, MISSING, responses
from imtext.search.server.problems import readable
from imtext.search.server.service import Service

ID = re.compile("[0-9a-f]{32}")
ZIP_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The archive.", "content": {"application/zip": BINARY}},
    **responses(MISSING),
}
Ids = Annotated[str, Query(description="Ids of pictures, separated by commas.", examples=["0" * 32])]


def download_routes(service: Service) -> APIRouter:
    """`/zip`."""
    router = APIRouter(tags=["pictures"])

    def members(ids: list[str]) -> list[Member]:
        found = []
        for path, state in map(service.file, ids):
            with readable(path):
                found.append(Member(path, length_of(path, state), state.st_mtime))
        require_size(sum(member.size for member in found), service.limits)
        return found

    async def download(request: Request, ids: Ids) -> Response:
        """The files as they are; `HEAD` tells the size of the archive."""
        found = await service.run(members, parse_ids(ids, service.limits))
        headers = {
            "content-length": str(archive_size(found)),
            "content-disposition": 'attachment; filename="pictures.zip"',
            "cache-control": "no-store",
        }
        if request.method == "HEAD":
            return Response(headers=headers, media_type="application/zip")
        return StreamingResponse(archive(found), headers=headers, media_type="application/zip")

    summary = "The files of several pictures as a ZIP"
    router.get("/zip", summary=summary, response_class=Response, responses=ZIP_RESPONSES)(download)
    router.head("/zip", include_in_schema=False)(download)
    return router


def parse_ids(text: str, limits: Limits) -> list[str]:
    """``a,b,a`` → each different id once, in order.

    Raises:
        SearchError: there is none, too many, or something else.
    """
    ids = list(dict.fromkeys(text.split(",")))
    if not all(ID.fullmatch(id) for id in ids):
        raise SearchError("ids: give ids of pictures as in results, separated by commas")
    if len(ids) > limits.zip_pictures:
        raise SearchError(
            f"{len(ids):,} pictures are above {limits.zip_pictures:,}, the limit of one ZIP; choose fewer"
        )
    return ids


def require_size(size: int, limits: Limits) -> None:
    """Refuse an archive that is too large.

    Raises:
        SearchError: it is.
    """
    if size > limits.zip_bytes:
        raise SearchError(
            f"The pictures have {size / 1e6:,.0f} MB, above the limit of one ZIP, {limits.zip_bytes / 1e6:,.0f} MB; "
            "choose fewer"
        )
