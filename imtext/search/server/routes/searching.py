"""Search by words or by a picture, and ranking of a few pictures or texts."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request

from imtext.errors import SearchError
from imtext.search.index import SearchOptions
from imtext.search.query import parse_query, unread_words
from imtext.search.server.filtering import FilterParameters
from imtext.search.server.messages import (
    IMAGE_BODY,
    MISSING,
    Fold,
    Id,
    InWords,
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

MISSED = responses(MISSING)
RANK_EXAMPLES = {
    "pictures": {"value": {"query": "a dog", "ids": ["0" * 32]}},
    "texts": {"value": {"id": "0" * 32, "texts": ["a dog", "a cat"]}},
}


def search_routes(service: Service) -> APIRouter:
    """`/search`, `/search/image` and `/rank`."""
    router = APIRouter(tags=["search"])

    async def search_words(query: str, options: SearchOptions) -> Results:
        started = time.perf_counter()
        found = await service.searches.submit(TextSearch(parse_query(query, pictures=False), options))
        return service.results(found.results, started, found.query, place=options.filters.place)

    async def list_newest(options: SearchOptions) -> Results:
        started = time.perf_counter()
        found = await service.run(service.newest, options)
        return service.results(found, started, place=options.filters.place)

    @router.get("/search", summary="Search by words, for pictures similar to one, or by filters", responses=MISSED)
    async def search(
        filter_by: FilterParameters,
        q: Annotated[Words | None, Query()] = None,
        like: Annotated[Id | None, Query()] = None,
        top_k: Annotated[TopK, Query()] = 10,
        min_relevance: Annotated[MinRelevance, Query()] = None,
        rerank_top_k: Annotated[RerankTopK, Query()] = None,
        fold: Annotated[Fold, Query()] = True,
        words: Annotated[InWords, Query()] = True,
    ) -> Results:
        filters, sort = await filter_by.filters(), filter_by.sort
        if (q is not None and like is not None) or not (q or like or filters or sort == "date"):
            raise SearchError("Give one of two parameters: either q=<words> or like=<id of a picture>; or only filters")
        if q is not None:
            reranked = service.reranked(rerank_top_k)
            return await search_words(q, SearchOptions(top_k, min_relevance, reranked, filters, sort, fold, words))
        options = SearchOptions(top_k, filters=filters, sort=sort, fold=fold)
        if like is None:
            return await list_newest(options)
        started = time.perf_counter()
        found = await service.run(service.search_like, like, options)
        return service.results(found, started, place=filters.place)

    @router.post("/search", summary="Search by words or by filters")
    async def search_post(request: SearchRequest) -> Results:
        filters = await request.filters()
        if request.query is None and not filters and request.sort != "date":
            raise SearchError("Give words in query, a filter, or both")
        reranked = service.reranked(request.rerank_top_k)
        sort, fold, words = request.sort, request.fold, request.words
        options = SearchOptions(request.top_k, request.min_relevance, reranked, filters, sort, fold, words)
        return await (list_newest(options) if request.query is None else search_words(request.query, options))

    _add_upload(router, service)
    _add_rank(router, service)
    return router


def _add_upload(router: APIRouter, service: Service) -> None:
    @router.post("/search/image", summary="Search by an uploaded picture", openapi_extra=IMAGE_BODY)
    async def search_image(
        request: Request,
        filter_by: FilterParameters,
        top_k: Annotated[TopK, Query()] = 10,
        fold: Annotated[Fold, Query()] = True,
    ) -> Results:
        started = time.perf_counter()
        options = SearchOptions(top_k, filters=await filter_by.filters(), sort=filter_by.sort, fold=fold)
        found = await service.run(service.search_upload, await read_upload(request), options)
        return service.results(found, started, place=options.filters.place)


def _add_rank(router: APIRouter, service: Service) -> None:
    @router.post("/rank", summary="Order pictures by words, or texts by a picture", responses=responses(MISSING))
    async def rank(
        request: Annotated[RankPictures | RankTexts, Body(openapi_examples=RANK_EXAMPLES)],
    ) -> Ranking:
        if isinstance(request, RankPictures):
            rerank_top_k = service.reranked(request.rerank_top_k)
            matches = await service.run(service.rank_pictures, request.query, request.ids, rerank_top_k)
            items = [{"id": request.ids[match.place]} for match in matches]
            terms = parse_query(request.query, pictures=False)
        else:
            matches = await service.run(service.rank_texts, request.id, request.texts)
            items, terms = [{"text": request.texts[match.place]} for match in matches], []
        unknown, cut = unread_words(terms, service.index.encoder.tokenizer)
        return Ranking(
            unknown_words=list(unknown),
            cut_words=list(cut),
            results=[
                Ranked(**item, score=match.score, relevance=match.relevance, position=match.place)
                for item, match in zip(items, matches, strict=True)
            ],
        )


async def read_upload(request: Request) -> bytes:
    """The body of an upload; the guard enforces the limit of its size.

    Raises:
        SearchError: the body is empty.
    """
    content = await request.body()
    if not content:
        raise SearchError("The request contains no picture: send the bytes of the file as the body")
    return content
