"""Search by words or by a picture, and ranking of a few pictures or texts."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request

from imtext.errors import SearchError
from imtext.search.index import SearchOptions
from imtext.search.query import parse_query
from imtext.search.server.messages import (
    IMAGE_BODY,
    MISSING,
    Id,
    MinRelevance,
    Ranked,
    Ranking,
    RankPictures,
    RankTexts,
    RerankTopK,
    Results,
    SearchRequest,
    TopK,
    Words,
    responses,
)
from imtext.search.server.service import Service, TextSearch

RANK_EXAMPLES = {
    "pictures": {"value": {"query": "a dog", "ids": ["0" * 32]}},
    "texts": {"value": {"id": "0" * 32, "texts": ["a dog", "a cat"]}},
}


def search_routes(service: Service) -> APIRouter:
    """`/search`, `/search/image` and `/rank`."""
    router = APIRouter(tags=["search"])

    async def search_words(query: str, top_k: int, min_relevance: float | None, rerank_top_k: int | None) -> Results:
        started = time.perf_counter()
        options = SearchOptions(top_k, min_relevance, service.reranked(rerank_top_k))
        found = await service.searches.submit(TextSearch(parse_query(query, pictures=False), options))
        return service.results(found.results, started, found.query)

    @router.get("/search", summary="Search by words, or for pictures similar to one", responses=responses(MISSING))
    async def search(
        q: Annotated[Words | None, Query()] = None,
        like: Annotated[Id | None, Query()] = None,
        top_k: Annotated[TopK, Query()] = 10,
        min_relevance: Annotated[MinRelevance, Query()] = None,
        rerank_top_k: Annotated[RerankTopK, Query()] = None,
    ) -> Results:
        if (q is None) == (like is None):
            raise SearchError("Give one of two parameters: either q=<words> or like=<id of a picture>")
        if q is not None:
            return await search_words(q, top_k, min_relevance, rerank_top_k)
        started = time.perf_counter()
        return service.results(await service.run(service.search_like, like, top_k), started)

    @router.post("/search", summary="Search by words")
    async def search_post(request: SearchRequest) -> Results:
        return await search_words(request.query, request.top_k, request.min_relevance, request.rerank_top_k)

    @router.post("/search/image", summary="Search by an uploaded picture", openapi_extra=IMAGE_BODY)
    async def search_image(request: Request, top_k: Annotated[TopK, Query()] = 10) -> Results:
        started = time.perf_counter()
        return service.results(await service.run(service.search_upload, await read_upload(request), top_k), started)

    @router.post("/rank", summary="Order pictures by words, or texts by a picture", responses=responses(MISSING))
    async def rank(
        request: Annotated[RankPictures | RankTexts, Body(openapi_examples=RANK_EXAMPLES)],
    ) -> Ranking:
        if isinstance(request, RankPictures):
            rerank_top_k = service.reranked(request.rerank_top_k)
            matches = await service.run(service.rank_pictures, request.query, request.ids, rerank_top_k)
            items = [{"id": request.ids[match.place]} for match in matches]
        else:
            matches = await service.run(service.rank_texts, request.id, request.texts)
            items = [{"text": request.texts[match.place]} for match in matches]
        return Ranking(
            results=[
                Ranked(**item, score=match.score, relevance=match.relevance, position=match.place)
                for item, match in zip(items, matches, strict=True)
            ]
        )

    return router


async def read_upload(request: Request) -> bytes:
    """The body of an upload; the guard enforces the limit of its size.

    Raises:
        SearchError: the body is empty.
    """
    content = await request.body()
    if not content:
        raise SearchError("The request contains no picture: send the bytes of the file as the body")
    return content
