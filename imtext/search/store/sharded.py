"""Several stores that are searched as one, for more pictures than one machine indexes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from heapq import merge
from typing import Any, NoReturn, Self, TypeVar

import numpy as np

from imtext.errors import SearchError
from imtext.search.facts import Facts
from imtext.search.filters import Filters
from imtext.search.store.protocol import Store
from imtext.search.store.records import Dated, File, Grid, Ids, Neighbors, Picture, Vectors, WordMatch

SCHEME = "shards"

Found = TypeVar("Found")


class ShardedStore:
    """A `Store` that reads N others, ``shards://URL,URL``. Pictures are indexed into these.

    Picture `id` of shard `s` has the id ``id * N + s``. Exact searches find the same pictures with the same scores as
    one store that has taken them from the shards in turn. A picture in two shards is two pictures.

    Args:
        location: URL.
        shards: the open stores.

    Raises:
        SearchError: they were made by different models, or do not record by which.
    """

    def __init__(self, location: str, shards: Sequence[Store]) -> None:
        self.location, self.shards = location, shards
        for one in shards:
            if not one.model:  # as SQLite: one of a new model could be taken for one of the old
                raise SearchError(f"{one.location} does not record its model: shards are stores of Lance")
        models = {(one.model, one.embed_dim) for one in shards}
        if len(models) != 1:
            raise SearchError(f"The stores of {location} were made by different models: {sorted(models)}")
        ((self.model, self.embed_dim),) = models
        self._pool = ThreadPoolExecutor(len(shards), thread_name_prefix="shard")

    # ---- opening and closing

    @classmethod
    def open(cls, location: str) -> Self:
        """Open all shards."""
        from imtext.search.store.location import open_store

        return cls(location, [open_store(url) for url in _urls(location)])

    @classmethod
    def create(cls, location: str, embed_dim: int, model: str = "") -> Self:
        """Refused; the shards are created one by one."""
        _refuse(location)

    @classmethod
    def exists(cls, location: str) -> bool:
        """Is there a store at every URL?"""
        from imtext.search.store.location import store_exists

        return all(store_exists(url) for url in _urls(location))

    @classmethod
    def rebuild(cls, location: str, embed_dim: int, model: str = "") -> None:
        """Refused."""
        _refuse(location)

    def close(self) -> None:
        """Close all shards."""
        self._pool.shutdown(wait=False)
        for shard in self.shards:
            shard.close()

    def replaced(self) -> bool:
        """Was one of them replaced?"""
        return any(self._each(lambda shard: shard.replaced()))

    def tidy(self) -> None:
        """Nothing: a reader leaves no unfinished files."""

    def check(self) -> int:
        """Verify all shards; returns the number of pictures."""
        return sum(shard.check() for shard in self.shards)

    # ---- searching

    def refresh(self) -> bool:
        """Load what was committed to any of them."""
        return any(self._each(lambda shard: shard.refresh()))

    @property
    def size(self) -> int:
        """Number of pictures that `nearest` searches."""
        return sum(shard.size for shard in self.shards)

    def nearest(
        self, queries: Vectors, top_k: int, filters: Filters | None = None, approximate: bool = False
    ) -> Neighbors:
        """The pictures nearest to each of ``[Q, embed_dim]`` query vectors, of those of all shards."""
        parts = self._each(lambda shard: shard.nearest(queries, top_k, filters, approximate))
        ids = np.concatenate([self._whole(place, part.ids) for place, part in enumerate(parts)], axis=1)
        scores = np.concatenate([part.scores for part in parts], axis=1)
        best = np.lexsort((ids, -scores), axis=1)[:, :top_k]
        size = sum(part.size for part in parts)
        mean = np.sum([part.mean.astype(np.float64) * part.size for part in parts], axis=0) / max(1, size)
        version = _together([part.version for part in parts])
        found = np.take_along_axis(ids, best, 1), np.take_along_axis(scores, best, 1)
        return Neighbors(version, *found, mean.astype(np.float32), size)

    def find_words(self, words: Sequence[str], limit: int, filters: Filters | None = None) -> list[WordMatch]:
        """Pictures with words of a query: with most of the words first, then as each shard ranks them, in turn."""
        parts = self._each(lambda shard: shard.find_words(words, limit, filters))
        ranked = [
            (-one.share, rank, WordMatch(one.id * len(self.shards) + place, one.share, one.where))
            for place, part in enumerate(parts)
            for rank, one in enumerate(part)
        ]
        return [one for _, _, one in sorted(ranked, key=lambda found: found[:2])][:limit]

    def by_date(self, filters: Filters) -> Dated:
        """All pictures that pass, newest first."""
        parts = self._each(lambda shard: shard.by_date(filters))
        ids = np.concatenate([self._whole(place, part.ids) for place, part in enumerate(parts)])
        dates = np.concatenate([part.dates for part in parts])
        order = np.lexsort((ids, -dates.astype(np.int64)))
        return Dated(_together([part.version for part in parts]), ids[order], dates[order])

    def vector_of(self, id: int) -> Vectors | None:
        """The vector of one picture."""
        number, place = divmod(id, len(self.shards))
        return self.shards[place].vector_of(number)

    def ids(self, offset: int = 0, limit: int | None = None) -> list[int]:
        """A page of the ids of all pictures."""
        parts = self._each(lambda shard: np.array(shard.ids(), dtype=np.int64))
        whole = np.sort(np.concatenate([self._whole(place, part) for place, part in enumerate(parts)]))
        page: list[int] = whole[offset:][:limit].tolist()
        return page

    # ---- rows

    def version(self) -> int:
        """A number that follows from the versions of all shards."""
        return _together(self._each(lambda shard: shard.version()))

    def count(self) -> int:
        """Number of pictures."""
        return sum(self._each(lambda shard: shard.count()))

    def files(self, below: str | None = None) -> Iterator[File]:
        """All known files, in order of path."""
        return merge(*(shard.files(below) for shard in self.shards), key=lambda file: os.fsencode(file.path))

    def refused(self) -> dict[str, str]:
        """Path → reason of refused files."""
        return {path: reason for part in self._each(lambda shard: shard.refused()) for path, reason in part.items()}

    def known(self, contents: Sequence[bytes]) -> set[bytes]:
        """The contents that already have a vector."""
        return set().union(*self._each(lambda shard: shard.known(contents)))

    def held(self, ids: Sequence[int]) -> dict[int, list[File]]:
        """Id → its files."""
        return self._of(ids, lambda shard, some: shard.held(some))

    def find(self, content: bytes) -> tuple[int, list[File]] | None:
        """The id of the first picture with this content, and its files."""
        for place, found in enumerate(self._each(lambda shard: shard.find(content))):
            if found is not None:
                return found[0] * len(self.shards) + place, found[1]
        return None

    def grids(self, ids: Sequence[int]) -> dict[int, Grid]:
        """Id → its grid."""
        return self._of(ids, lambda shard, some: shard.grids(some))

    def facts(self, ids: Sequence[int]) -> dict[int, Facts]:
        """Id → its facts."""
        return self._of(ids, lambda shard, some: shard.facts(some))

    def without_facts(self) -> list[File]:
        """The files of pictures without facts."""
        return [file for part in self._each(lambda shard: shard.without_facts()) for file in part]

    def without_text(self) -> list[File]:
        """The files of pictures in which no text was looked for."""
        return [file for part in self._each(lambda shard: shard.without_text()) for file in part]

    def sources(self) -> list[str]:
        """What was indexed."""
        return sorted(set().union(*self._each(lambda shard: shard.sources())))

    # ---- writing

    def commit(
        self,
        pictures: Iterable[Picture] = (),
        files: Iterable[File] = (),
        gone: Iterable[str] = (),
        sweep: bool = True,
        facts: Mapping[bytes, Facts] | None = None,
        texts: Mapping[bytes, str] | None = None,
    ) -> None:
        """Refused."""
        _refuse(self.location)

    def remember(self, sources: Iterable[str], forget: Iterable[str] = ()) -> None:
        """Refused."""
        _refuse(self.location)

    # ---- shards

    def _each(self, read: Callable[[Store], Found]) -> list[Found]:
        """The same of all shards, at the same time."""
        return list(self._pool.map(read, self.shards))

    def _whole(self, place: int, ids: Ids) -> Ids:
        """Ids of one shard → those of this store."""
        return ids * len(self.shards) + place

    def _of(self, ids: Sequence[int], read: Callable[[Store, list[int]], dict[int, Any]]) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for place, shard in enumerate(self.shards):
            if some := [id // len(self.shards) for id in ids if id % len(self.shards) == place]:
                found |= {number * len(self.shards) + place: one for number, one in read(shard, some).items()}
        return found


def _urls(location: str) -> list[str]:
    urls = location.removeprefix(f"{SCHEME}://").split(",")
    if not all(urls):
        raise SearchError(f"{location} names no stores: write {SCHEME}://URL,URL")
    return urls


def _refuse(location: str) -> NoReturn:
    raise SearchError(f"{location} is only for searching. Index into its stores: imtext index --store <one of them>")


def _together(versions: Sequence[int]) -> int:
    return int.from_bytes(hashlib.blake2b(repr(versions).encode(), digest_size=7).digest(), "big")
