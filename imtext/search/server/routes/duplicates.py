"""Near duplicates: those of one picture, and all groups."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from starlette.exceptions import HTTPException

from imtext.errors import SearchError
from imtext.search.index import Index
from imtext.search.results import Duplicate as Found
from imtext.search.server.messages import MISSING, Duplicate, Duplicates, DuplicatesOf, Id, responses
from imtext.search.server.service import Service


def duplicate_routes(service: Service) -> APIRouter:
    """`/pictures/{id}/duplicates` and `/duplicates`."""
    router = APIRouter(tags=["pictures"])
    groups = _Groups()

    def page(offset: int, limit: int) -> Duplicates:
        found = groups.of(service.index)
        return Duplicates(groups=[_describe(service, group) for group in found[offset:][:limit]], total=len(found))

    @router.get(
        "/pictures/{id}/duplicates",
        summary="The near duplicates of a picture, which fold into it in searches",
        responses=responses(MISSING),
    )
    async def duplicates_of_one(id: Annotated[Id, PathParameter()]) -> DuplicatesOf:
        return await service.run(duplicates_of, service, id)

    @router.get("/duplicates", summary="Groups of near duplicates; those that take the most bytes come first")
    async def duplicates(
        offset: Annotated[int, Query(ge=0, le=2**53)] = 0, limit: Annotated[int, Query(ge=1, le=100)] = 20
    ) -> Duplicates:
        return await service.run(page, offset, limit)

    return router


def duplicates_of(service: Service, id: str) -> DuplicatesOf:
    """The near duplicates of one picture.

    Raises:
        HTTPException: 404, there is no such picture.
    """
    try:
        return DuplicatesOf(pictures=_describe(service, service.index.duplicates_of(id)))
    except SearchError as error:
        raise HTTPException(404, f"{error}.") from error


def _describe(service: Service, found: Sequence[Found]) -> list[Duplicate]:
    names = service.names([one.path for one in found])
    return [
        Duplicate(
            id=one.id,
            name=name,
            copies=len(one.copies),
            bytes=one.bytes,
            width=one.width,
            height=one.height,
            date=one.date,
        )
        for one, name in zip(found, names, strict=True)
    ]


class _Groups:
    """The groups of the newest version of an index: they take seconds, and clients ask for them page by page."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: tuple[Index, int, list[tuple[Found, ...]]] | None = None

    def of(self, index: Index) -> list[tuple[Found, ...]]:
        with self._lock:
            version = index.store.version()
            if self._found is None or self._found[0] is not index or self._found[1] != version:
                self._found = index, version, index.duplicates()
            return self._found[2]
