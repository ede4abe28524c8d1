"""The protocol of stores of pictures and vectors. SQLite in the index folder is the default implementation.

A store is the single source of truth of an index. Every commit is atomic, survives a killed process and gets a new
version. Pictures are stored by content: the same picture under two names is one picture with two files, and a renamed
file keeps its picture.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from imtext.search.facts import Facts
from imtext.search.filters import Filters
from imtext.search.results import FoundBy

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
Grid = npt.NDArray[np.float16]

UNREAD = -1  # the recorded size of a file that was not read; it matches no file, so the file counts as changed


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was when it was indexed.

    Attributes:
        path: absolute path.
        size: size in bytes.
        mtime_ns: modification time in nanoseconds.
        content: hash of its content; empty if the file was refused.
        reason: why the file was refused; empty if it is in the index.
        ctime_ns: time of the last change of content or name in nanoseconds, which programs cannot set back; 0: unknown.
        inode: number of the file on its drive.
    """

    path: str
    size: int
    mtime_ns: int
    content: bytes = b""
    reason: str = ""
    ctime_ns: int = 0
    inode: int = 0

    @classmethod
    def found(cls, path: str, state: os.stat_result) -> Self:
        """A file on disk, whose content was not read."""
        inode = state.st_ino & (2**63 - 1)  # databases have signed numbers
        return cls(path, state.st_size, state.st_mtime_ns, ctime_ns=state.st_ctime_ns, inode=inode)

    def refuse(self, reason: str) -> File:
        """The same file, refused for a reason that holds until the file changes."""
        return replace(self, content=b"", reason=" ".join(reason.split())[:300] or "unreadable")

    def unchanged_since(self, before: File) -> bool:
        """Is this the file that was indexed, by everything that is known without reading it?"""
        same = (self.size, self.mtime_ns) == (before.size, before.mtime_ns)
        return same and (not before.ctime_ns or (self.ctime_ns, self.inode) == (before.ctime_ns, before.inode))


def unread(path: str, reason: str) -> File:
    """A file that was not read for a temporary reason. It counts as changed until it has been read."""
    return File(path, UNREAD, 0).refuse(reason)


@dataclass(frozen=True, slots=True)
class Picture:
    """One content and its embedding.

    Attributes:
        content: hash of the file's bytes.
        vector: ``[embed_dim]`` of unit length.
        grid: ``[P, grid_dim]``, the places of the picture for a re-ranker; None: not kept.
    """

    content: bytes
    vector: Vectors
    grid: Grid | None = None


@dataclass(frozen=True)
class Neighbors:
    """The pictures nearest to each of Q queries.

    Attributes:
        version: version of the pictures that were searched.
        ids: ``[Q, k]``, nearest first; k is at most the number of pictures.
        scores: ``[Q, k]``, cosine similarities.
        mean: ``[embed_dim]``, mean of all vectors; its dot product with a query is the query's mean score.
        size: number of pictures that were searched.
    """

    version: int
    ids: Ids
    scores: Vectors
    mean: Vectors
    size: int


@dataclass(frozen=True)
class Dated:
    """N pictures by date, newest first; of equal dates in the order of indexing.

    The date of a picture is that of its facts, or the local time at which the oldest of its files was modified.

    Attributes:
        version: version of the pictures.
        ids: ``[N]``.
        dates: ``[N]`` datetime64[s], local times.
    """

    version: int
    ids: Ids
    dates: npt.NDArray[np.datetime64]


@dataclass(frozen=True, slots=True)
class WordMatch:
    """A picture that words of a query belong to.

    Attributes:
        id: id of the picture.
        share: how many of the words belong to it, 0 … 1. Words that very many pictures have do not count.
        where: what the words stand in.
    """

    id: int
    share: float
    where: tuple[FoundBy, ...]


class Store(Protocol):
    """The methods that an index needs. All of them may be called from several threads at once.

    Rows are read as of the last commit. `nearest`, `find_words`, `by_date`, `vector_of`, `ids` and `size` see the
    pictures as of the last `refresh`, so that one search sees one state. The first call of any of them calls `refresh`.

    Attributes:
        location: URL to open this store again.
        embed_dim: length of the vectors.
    """

    location: str
    embed_dim: int

    # ---- opening and closing: called by the functions of `imtext.search.store.location`

    @classmethod
    def open(cls, location: str) -> Self:
        """Open the store at a URL.

        Raises:
            SearchError: there is no store, or it cannot be read.
        """

    @classmethod
    def create(cls, location: str, embed_dim: int) -> Self:
        """Open the store at a URL. Create it if needed, and complete it if a killed process left it incomplete."""

    @classmethod
    def exists(cls, location: str) -> bool:
        """Is there a store at this URL?"""

    @classmethod
    def rebuild(cls, location: str, embed_dim: int) -> None:
        """Replace a store by a store without pictures, in one atomic step, for vectors of another length or model.

        Sources are kept. All files are kept as `unread`, because paths from standard input are recorded nowhere else.
        Open stores keep the old content and report `replaced`.
        """

    def close(self) -> None:
        """Release files and connections."""

    def replaced(self) -> bool:
        """Was this store replaced by another one, or can it no longer see new commits? Must be cheap."""

    def tidy(self) -> None:
        """Remove unfinished files of processes that no longer run; called by the only writer."""

    def check(self) -> int:
        """Verify all vectors; returns the number of pictures.

        Raises:
            SearchError: a vector is not of unit length, or the vectors that `nearest` searches differ from the commits.
        """

    # ---- searching, as of the last refresh

    def refresh(self) -> bool:
        """Load what was committed since the last refresh; returns True if there was something new."""

    @property
    def size(self) -> int:
        """Number of pictures that `nearest` searches."""

    def nearest(
        self, queries: Vectors, top_k: int, filters: Filters | None = None, approximate: bool = False
    ) -> Neighbors:
        """The pictures nearest to each of ``[Q, embed_dim]`` query vectors of unit length.

        Pictures with equal scores are in the order of indexing, so that a query always has the same result.

        Args:
            queries: of unit length.
            top_k: maximum number of pictures for each query.
            filters: choose from the pictures that pass; `mean` and `size` stay those of all pictures.
            approximate: the store may be faster and miss a few of them; scores are exact.
        """

    def find_words(self, words: Sequence[str], limit: int, filters: Filters | None = None) -> list[WordMatch]:
        """Pictures with words of a query: in names of their files and folders, in what people wrote, in the picture.

        Args:
            words: without regard to case and accents; a word of several parts, ``IMG_1234``, is a phrase.
            limit: maximum number of pictures.
            filters: choose from the pictures that pass.

        Returns:
            Those with most of the words first, then by the store's own ranking, such as BM25.
        """

    def by_date(self, filters: Filters) -> Dated:
        """All pictures that pass, newest first."""

    def vector_of(self, id: int) -> Vectors | None:
        """The vector ``[embed_dim]`` of one picture; None if no file has this picture."""

    def ids(self, offset: int = 0, limit: int | None = None) -> list[int]:
        """A page of the ids of all pictures, in the order in which they were indexed."""

    # ---- rows, as of the last commit

    def version(self) -> int:
        """Version of the rows: a random number that every commit of pictures or files draws again."""

    def count(self) -> int:
        """Number of different pictures that at least one file has."""

    def files(self, below: str | None = None) -> Iterator[File]:
        """All known files, or those below a folder, in order of path, including refused files."""

    def known(self, contents: Sequence[bytes]) -> set[bytes]:
        """The contents that already have a vector."""

    def held(self, ids: Sequence[int]) -> dict[int, list[File]]:
        """Id → the files that have this picture, in alphabetical order; ids without files are left out."""

    def find(self, content: bytes) -> tuple[int, list[File]] | None:
        """The id of the picture with this content, and the files that have it; None if there is none."""

    def grids(self, ids: Sequence[int]) -> dict[int, Grid]:
        """Id → the grid of this picture; ids without a grid are left out."""

    def facts(self, ids: Sequence[int]) -> dict[int, Facts]:
        """Id → the facts of this picture; ids without facts are left out."""

    def without_facts(self) -> list[File]:
        """The files of pictures without facts, a hash or words, which an earlier version has indexed."""

    def without_text(self) -> list[File]:
        """The files of pictures in which no text was looked for."""

    def sources(self) -> list[str]:
        """Folders, patterns and lists that were indexed, in order of name."""

    # ---- writing: by one process at a time, which the caller must ensure

    def commit(
        self,
        pictures: Iterable[Picture] = (),
        files: Iterable[File] = (),
        gone: Iterable[str] = (),
        sweep: bool = True,
        facts: Mapping[bytes, Facts] | None = None,
        texts: Mapping[bytes, str] | None = None,
    ) -> None:
        """Add pictures, add or update files, forget files; all or nothing.

        Args:
            pictures: new contents; known contents are not changed.
            files: added, or updated if the path is known.
            gone: paths to forget.
            sweep: also forget pictures that no file has any more. Only the last commit of an update does this, because
                a later commit may add a file with such a picture.
            facts: content → facts, of new pictures and of known ones; they are forgotten with their pictures.
            texts: content → the text that was read in this picture, empty if there is none; of pictures with facts.

        Raises:
            StoreError: the store could not be written; nothing has changed.
        """

    def remember(self, sources: Iterable[str], forget: Iterable[str] = ()) -> None:
        """Add to the sources, and remove some."""
