"""What does the work behind the API: one index, searched by many at once, followed as it grows."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from starlette.exceptions import HTTPException

from imtext.errors import SearchError
from imtext.preprocess import open_image
from imtext.search.encoder import Embeddings
from imtext.search.index import Index, SearchResult
from imtext.search.query import Term, embed_picture, picture_query
from imtext.search.ranking import relevant
from imtext.search.server.batching import Batcher, BusyError
from imtext.search.server.guard import Limits
from imtext.search.store import File

log = logging.getLogger(__name__)

THUMBNAIL_CACHE = 64_000_000  # bytes
LOOK_SECONDS = 0.5  # between two looks for new commits

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Wanted:
    """A text query in the queue."""

    terms: Sequence[Term]
    top_k: int
    min_relevance: float


class Service:
    """An index that is searched by many at once and follows what is committed to it.

    Args:
        folder: of the index.
        limits: of the queues.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self.limits = folder, limits
        self.index = self._open()
        self.reloads = 0
        self.searches: Batcher[Wanted, list[SearchResult]] = Batcher(self._search, limits.batch, limits.waiting)
        self._pictures = ThreadPoolExecutor(limits.pictures, thread_name_prefix="picture")
        self.pictures_at_work = 0
        self._thumbnails: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._cached, self._lock = 0, threading.Lock()

    def _open(self) -> Index:
        index = Index(self.folder, threads=1, follow=False)  # requests run beside each other instead
        index.refresh()
        index.encoder.encode_texts(["the first query waits for nothing"])
        return index

    def close(self) -> None:
        """End the threads."""
        self.searches.close()
        self._pictures.shutdown(wait=False, cancel_futures=True)

    async def follow(self) -> None:
        """Take up new commits, for ever; requests go on with what they began with."""
        while True:
            started = time.monotonic()
            try:
                if await asyncio.to_thread(self._look):
                    self.reloads += 1
            except Exception as error:  # noqa: BLE001 — being rebuilt, its drive is away, or worse: look again
                log.warning("The index cannot be read anew: %s", error)
            # A large index takes long to read: not more than a fifth of the time.
            await asyncio.sleep(max(LOOK_SECONDS, 4 * (time.monotonic() - started)))

    def _look(self) -> bool:
        if self.index.replaced():
            self.index = self._open()
            return True
        return self.index.refresh()

    def _search(self, batch: Sequence[Wanted]) -> list[list[SearchResult] | Exception]:
        """Answer several text queries with one pass."""
        index = self.index
        try:
            found = index.search_batch([one.terms for one in batch], max(one.top_k for one in batch))
        except SearchError as error:  # one of them is to blame; the others deserve an answer
            return [error] if len(batch) == 1 else [self._search([one])[0] for one in batch]
        return [
            relevant(results, wanted.min_relevance)[: wanted.top_k]
            for wanted, results in zip(batch, found, strict=True)
        ]

    async def on_picture(self, work: Callable[..., Answer], *args: Any) -> Answer:
        """Do something slow with a picture, few at a time.

        Raises:
            BusyError: too many wait already.
        """
        if self.pictures_at_work >= self.limits.pictures + self.limits.pictures_waiting:
            raise BusyError
        self.pictures_at_work += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pictures, work, *args)
        finally:
            self.pictures_at_work -= 1

    def embed_upload(self, content: bytes) -> tuple[Embeddings, Index]:
        """An uploaded picture → ``[embed_dim]``, and the index whose bundle it was embedded with."""
        index = self.index  # another may take its place meanwhile
        return embed_picture(content, index.encoder, self.limits.image_pixels), index

    def like_upload(self, content: bytes, top_k: int) -> list[SearchResult]:
        """What is like an uploaded picture."""
        vector, index = self.embed_upload(content)
        return index.search_queries([picture_query(vector)], top_k)[0]

    def like_picture(self, id: str, top_k: int) -> list[SearchResult]:
        """What is like a picture of the index.

        Raises:
            HTTPException: 404.
        """
        index = self.index
        return index.search_queries([picture_query(self.vector(index, id))], top_k)[0]

    def vector(self, index: Index, id: str) -> Embeddings:
        """The vector of a picture of an index.

        Raises:
            HTTPException: 404.
        """
        number, _ = self._find(index, id)
        vector = index.store.vector_of(number)
        if vector is None:  # committed a moment ago
            raise _no_picture(id)
        return vector

    @staticmethod
    def _find(index: Index, id: str) -> tuple[int, list[File]]:
        found = index.store.find(bytes.fromhex(id))
        if found is None:
            raise _no_picture(id)
        return found

    def file(self, id: str) -> tuple[str, os.stat_result]:
        """Where a picture lies, as long as it is the one that was indexed.

        Raises:
            HTTPException: 404.
        """
        for file in self._find(self.index, id)[1]:
            with contextlib.suppress(OSError):
                state = Path(file.path).stat()
                if (state.st_size, state.st_mtime_ns) == (file.size, file.mtime_ns):
                    return file.path, state
        raise HTTPException(404, f"The file of picture {id} is gone or was changed; index its folder again.")

    def thumbnail(self, id: str, size: int) -> bytes:
        """A small JPEG, from memory if it was made before.

        Raises:
            HTTPException: 404.
        """
        self._find(self.index, id)  # what was removed is not shown from memory
        with self._lock:
            if (id, size) in self._thumbnails:
                self._thumbnails.move_to_end((id, size))
                return self._thumbnails[id, size]
        path, _ = self.file(id)
        try:
            image = open_image(Path(path), size)
        except ValueError as error:
            raise HTTPException(404, f"Picture {id} cannot be read any more: {error}") from error
        image.thumbnail((size, size), reducing_gap=2.0)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=82)
        content = buffer.getvalue()
        with self._lock:
            if (id, size) not in self._thumbnails:
                self._thumbnails[id, size] = content
                self._cached += len(content)
            while self._cached > THUMBNAIL_CACHE:
                self._cached -= len(self._thumbnails.popitem(last=False)[1])
        return content

    def names(self, paths: Sequence[str]) -> list[str]:
        """Paths as they may be shown: below the folder that was indexed, and printable."""
        sources = sorted((one.rstrip(os.sep) + os.sep for one in self.index.store.sources()), key=len, reverse=True)
        names = []
        for path in paths:
            source = next((one for one in sources if path.startswith(one)), None)
            name = path[len(source) :] if source else Path(path).name
            names.append(name.encode("utf-8", "replace").decode())
        return names


def _no_picture(id: str) -> HTTPException:
    return HTTPException(404, f"There is no picture {id}.")
