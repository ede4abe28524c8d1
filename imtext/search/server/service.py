"""The service behind the routes: one index, searched by many clients at once and updated after new commits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from starlette.exceptions import HTTPException

from imtext.errors import SearchError
from imtext.search.encoder import Embeddings
from imtext.search.files import picture_of, state_of
from imtext.search.filters import NO_FILTERS
from imtext.search.index import Index, SearchOptions, SearchResult, list_pictures
from imtext.search.query import Query, Term, embed_picture, embed_queries, parse_query, picture_query
from imtext.search.ranking import Match, rank_vectors
from imtext.search.reranker import bundle_reranker
from imtext.search.server.batching import Batcher, BusyError
from imtext.search.server.limits import Limits
from imtext.search.server.messages import Result, Results
from imtext.search.server.problems import readable
from imtext.search.server.thumbnails import Thumbnails
from imtext.search.store import File, Grid

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5  # between two checks for new commits

Output = TypeVar("Output")


@dataclass(frozen=True)
class TextSearch:
    """A text query in the queue."""

    terms: Sequence[Term]
    options: SearchOptions


@dataclass(frozen=True)
class Found:
    """The results of a text query, and the embedded query."""

    query: Query
    results: list[SearchResult]


class Service:
    """An index that many clients search at once. New commits are loaded in the background.

    Args:
        folder: folder of the index.
        limits: limits of the queues.
        approximate: see `Index`.
    """

    def __init__(self, folder: Path, limits: Limits, approximate: bool = False) -> None:
        self.folder, self.limits, self.approximate = folder, limits, approximate
        self.index = self._open()
        self.reloads = 0  # times the index was read again
        self.searches: Batcher[TextSearch, Found] = Batcher(self._search, limits.batch, limits.waiting)
        self._workers = ThreadPoolExecutor(limits.workers, thread_name_prefix="worker")
        self.running = 0  # requests in the workers or waiting for one
        self._thumbnails = Thumbnails()

    def _open(self) -> Index:
        index = Index(self.folder, threads=1, follow=False, approximate=self.approximate)  # requests are parallel
        index.refresh()
        index.store.by_date(NO_FILTERS)  # reads the facts of all pictures before the first request
        index.encoder.encode_texts(["loads the text graph before the first request"])
        return index

    def close(self) -> None:
        """Stop the threads."""
        self.searches.close()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def total(self) -> int:
        """Pictures that are searched."""
        return self.index.store.size

    # ---- following the index

    async def follow(self) -> None:
        """Load new commits until cancelled; running requests finish with the state they started with."""
        said = ""
        while True:
            started, before, said = time.monotonic(), said, ""
            try:
                self.reloads += await asyncio.to_thread(self._look)
            except Exception as error:  # noqa: BLE001  a rebuild, a missing drive, no memory: try again
                if (said := str(error)) != before:  # it may last until somebody brings the new bundle
                    log.warning("The index cannot be read again: %s", error)
            # Reading a large index takes long. It may use a fifth of the time, but a new bundle is not kept waiting.
            await asyncio.sleep(max(LOOK_SECONDS, (1 if said else 4) * (time.monotonic() - started)))

    def _look(self) -> bool:
        if self.index.replaced():
            self.index = self._open()
            return True
        return self.index.refresh()

    # ---- searching

    def _search(self, batch: Sequence[TextSearch]) -> list[Found | Exception]:
        """Answer several text queries with one pass over the vectors."""
        index = self.index
        try:
            queries = embed_queries([search.terms for search in batch], index.encoder)
            results = index.search_each(queries, [search.options for search in batch])
        except SearchError as error:  # one query is wrong, so each is tried separately
            return [error] if len(batch) == 1 else [self._search([search])[0] for search in batch]
        return [Found(query, found) for query, found in zip(queries, results, strict=True)]

    def reranked(self, rerank_top_k: int | None) -> int | None:
        """The number of candidates that a search scores again; None: the bundle has no re-ranker.

        Without stored grids it is none unless the client names a number: reading the files would hold up everybody.

        Args:
            rerank_top_k: as the client says; None: the bundle's number.

        Raises:
            SearchError: it is above the limit.
        """
        limit, reranker = self.limits.rerank_top_k, self.index.bundle.reranker
        if rerank_top_k is None and reranker is not None:
            return min(reranker.top_k, limit) if self.index.has_grids else 0
        if rerank_top_k is not None and rerank_top_k > limit:
            raise SearchError(f"rerank_top_k={rerank_top_k} is above the limit of this server, {limit}")
        return rerank_top_k

    async def run(self, work: Callable[..., Output], *args: Any) -> Output:
        """Do slow work in one of a few worker threads.

        Raises:
            BusyError: too many requests are waiting.
        """
        if self.running >= self.limits.workers + self.limits.workers_waiting:
            raise BusyError
        self.running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._workers, work, *args)
        finally:
            self.running -= 1

    def embed_upload(self, content: bytes) -> tuple[Embeddings, Index]:
        """An uploaded picture → ``[embed_dim]``, and the index whose bundle embedded it."""
        index = self.index  # `follow` may replace it at any time
        return embed_picture(content, index.encoder, self.limits.image_pixels), index

    def search_upload(self, content: bytes, options: SearchOptions) -> list[SearchResult]:
        """Pictures similar to an uploaded one."""
        vector, index = self.embed_upload(content)
        return index.search_each([picture_query(vector)], [options])[0]

    def search_like(self, id: str, options: SearchOptions) -> list[SearchResult]:
        """Pictures similar to a picture of the index.

        Raises:
            HTTPException: 404, there is no such picture.
        """
        index = self.index
        return index.search_each([picture_query(self._vector(index, id))], [options])[0]

    def newest(self, options: SearchOptions) -> list[SearchResult]:
        """The newest pictures that pass the filters."""
        return self.index.newest(options.top_k, options.filters)

    def rank_pictures(self, words: str, ids: Sequence[str], rerank_top_k: int | None = None) -> list[Match]:
        """Order pictures of the index by words, best first.

        Raises:
            HTTPException: 404, there is no such picture.
            SearchError: the query cannot be used, or the bundle has no re-ranker.
        """
        index = self.index
        (query,) = embed_queries([parse_query(words, pictures=False)], index.encoder)
        vectors = np.stack([self._vector(index, id) for id in ids])
        reranker = bundle_reranker(index.encoder, query, rerank_top_k, lambda names: self._grids(index, names))
        return rank_vectors(query, vectors, index.bundle.calibration, names=ids, reranker=reranker)

    def _grids(self, index: Index, ids: Sequence[str]) -> list[Grid | None]:
        found = [self._find(index, id) for id in ids]
        return index.grids([number for number, _ in found], dict(found))

    def rank_texts(self, id: str, texts: Sequence[str]) -> list[Match]:
        """Order texts by how well they describe a picture of the index, best first.

        Raises:
            HTTPException: 404, there is no such picture.
        """
        index = self.index
        query = picture_query(self._vector(index, id), calibrated=True)
        known = [index.encoder.tokenizer.knows(text) for text in texts]
        return rank_vectors(query, index.encoder.encode_texts(texts), index.bundle.calibration, known=known)

    # ---- pictures

    def list_pictures(self, offset: int, limit: int) -> list[SearchResult]:
        """A page of all pictures, in the order in which they were added."""
        store = self.index.store
        return list_pictures(store, store.ids(offset, limit), NO_FILTERS)

    def file(self, id: str) -> tuple[str, os.stat_result]:
        """The path of a picture, if its file is still the one that was indexed.

        Raises:
            HTTPException: 404.
        """
        for file in self._find(self.index, id)[1]:
            with contextlib.suppress(OSError):
                state = state_of(file.path)
                if (state.st_size, state.st_mtime_ns) == (file.size, file.mtime_ns):
                    return file.path, state
        raise HTTPException(404, f"The file of picture {id} was removed or changed; index its folder again.")

    def thumbnail(self, id: str, size: int) -> bytes:
        """A picture as a small JPEG.

        Raises:
            HTTPException: 404.
        """
        self._find(self.index, id)  # a removed picture is not served from memory
        if (content := self._thumbnails.get(id, size)) is not None:
            return content
        path, _ = self.file(id)
        with readable(path):
            return self._thumbnails.make(id, picture_of(path), size)

    def _find(self, index: Index, id: str) -> tuple[int, list[File]]:
        found = index.store.find(bytes.fromhex(id))
        if found is None:
            raise _not_found(id)
        return found

    def _vector(self, index: Index, id: str) -> Embeddings:
        number, _ = self._find(index, id)
        if (vector := index.store.vector_of(number)) is None:  # committed after the last refresh
            raise _not_found(id)
        return vector

    def results(
        self, found: Sequence[SearchResult], started: float, query: Query | None = None, place: str = ""
    ) -> Results:
        """The response to a search.

        Args:
            found: results, best first.
            started: `time.perf_counter()` when the request arrived.
            query: query of a text search, for the words that the model does not know or does not read.
            place: see `Filters`.
        """
        names = self.names([result.path for result in found])
        return Results(
            results=[
                Result(
                    id=result.id,
                    name=name,
                    score=result.score if result.found_by else None,
                    relevance=result.relevance,
                    copies=len(result.copies),
                    date=result.date,
                    date_from=result.date_from,
                    place=result.place,
                    near_duplicates=result.near_duplicates,
                    found_by=result.found_by,
                )
                for result, name in zip(found, names, strict=True)
            ],
            total=self.total(),
            unknown_words=list(query.unknown_words) if query else [],
            cut_words=list(query.cut_words) if query else [],
            place=place,
            milliseconds=round(1000 * (time.perf_counter() - started), 2),
        )

    def names(self, paths: Sequence[str]) -> list[str]:
        """Paths for clients: relative to the folder that was indexed, and printable."""
        folders = (source.rstrip(os.sep) + os.sep for source in self.index.store.sources())
        prefixes = sorted(folders, key=len, reverse=True)
        names = []
        for path in paths:
            prefix = next((prefix for prefix in prefixes if path.startswith(prefix)), None)
            names.append((path[len(prefix) :] if prefix else Path(path).name).encode("utf-8", "replace").decode())
        return names


def _not_found(id: str) -> HTTPException:
    return HTTPException(404, f"There is no picture {id}.")
