"""Browsing without a query: the timeline, and pages of it."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query

from imtext.search.filters import Filters
from imtext.search.index import MAX_TOP_K, list_pictures
from imtext.search.index.timeline import page, timeline
from imtext.search.server.filtering import FilterParameters
from imtext.search.server.messages import Group, PicturePage, TimelineCounts
from imtext.search.server.service import Service


def browse_routes(service: Service) -> APIRouter:
    """`/timeline` and `/pictures`."""
    router = APIRouter(tags=["pictures"])

    def count(filters: Filters) -> TimelineCounts:
        listed = service.index.store.by_date(filters)
        counted = timeline(listed)
        groups = [Group(date=date, pictures=number) for date, number in counted.groups]
        return TimelineCounts(by=counted.by, groups=groups, total=len(listed.ids), version=str(listed.version))

    def read(filters: Filters, limit: int, offset: int, cursor: str | None) -> PicturePage:
        started, store = time.perf_counter(), service.index.store
        listed = store.by_date(filters)
        wanted = page(listed, limit, offset, cursor)
        results = service.results(list_pictures(store, wanted.ids, filters), started).results
        return PicturePage(results=results, next=wanted.next, version=str(listed.version))

    @router.get("/timeline", summary="How many pictures there are of each day or month")
    async def get_timeline(filter_by: FilterParameters) -> TimelineCounts:
        return await service.run(count, await filter_by.filters())

    @router.get("/pictures", summary="The pictures of the index, newest first")
    async def get_pictures(
        filter_by: FilterParameters,
        limit: Annotated[int, Query(ge=1, le=MAX_TOP_K)] = 100,
        offset: Annotated[int, Query(ge=0, le=2**53, description="Pictures to skip.")] = 0,
        cursor: Annotated[
            str | None,
            Query(max_length=40, description="`next` of a page: what follows, also if pictures came or went since."),
        ] = None,
    ) -> PicturePage:
        return await service.run(read, await filter_by.filters(), limit, offset, cursor)

    return router
