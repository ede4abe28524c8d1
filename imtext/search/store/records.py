"""What stores hold and give: files, pictures, and what a search finds among them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from imtext.search.results import FoundBy

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
Grid = npt.NDArray[np.float16]

LARGEST = 2**63 - 1  # databases have signed numbers of 64 bits
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
        size, mtime_ns, ctime_ns, inode = _recorded(state)
        return cls(path, size, mtime_ns, ctime_ns=ctime_ns, inode=inode)

    def is_as(self, state: os.stat_result) -> bool:
        """Is everything that is recorded as it is now? Spares a look at most files of large collections."""
        return (self.size, self.mtime_ns, self.ctime_ns, self.inode) == _recorded(state)

    def refuse(self, reason: str) -> File:
        """The same file, refused for a reason that holds until the file changes."""
        return replace(self, content=b"", reason=" ".join(reason.split())[:300] or "unreadable")

    def unchanged_since(self, before: File) -> bool:
        """Is this the file that was indexed, by everything that is known without reading it?"""
        same = (self.size, self.mtime_ns) == (before.size, before.mtime_ns)
        return same and (not before.ctime_ns or (self.ctime_ns, self.inode) == (before.ctime_ns, before.inode))


def _recorded(state: os.stat_result) -> tuple[int, int, int, int]:
    return state.st_size, _stored(state.st_mtime_ns), _stored(state.st_ctime_ns), state.st_ino & LARGEST


def _stored(nanoseconds: int) -> int:
    return max(-LARGEST, min(nanoseconds, LARGEST))  # some file systems have dates centuries away


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
