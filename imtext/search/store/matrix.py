"""All vectors of a SQLite store in one memory-mapped file, so that a search reads them at the speed of memory.

The file is a cache of committed rows and records their version. It is written again if it is missing, truncated or of
another version.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imtext.search.store.exact import BLOCK, FEW, Floats, Mask, Places, top_k
from imtext.search.store.records import Ids, Vectors
from imtext.search.store.short import Axes, candidates, principal_axes

if TYPE_CHECKING:
    from imtext.search.store.rows import Rows

HEADER = 4096  # bytes; the vectors begin at a page boundary
CANDIDATES = 2_000  # vectors that an approximate search scores exactly
FOR_EACH = 10  # vectors that it scores for each one that is wanted, at least


@dataclass(frozen=True)
class Matrix:
    """All vectors of one version.

    Attributes:
        version: version of the rows.
        ids: ``[N]`` ascending.
        vectors: ``[N, embed_dim]`` of unit length.
        mean: ``[embed_dim]``, the mean of the vectors.
        axes: ``[embed_dim, A]``, see `principal_axes`.
        short: ``[N, A]``, the vectors' coordinates along them.
    """

    version: int
    ids: Ids
    vectors: Vectors
    mean: Vectors
    axes: Axes
    short: Vectors

    @classmethod
    def of(cls, version: int, ids: Ids, vectors: Vectors) -> Matrix:
        """A matrix in memory."""
        mean = vectors.mean(axis=0) if len(ids) else vectors.sum(axis=0)
        axes = _axes(vectors)
        return cls(version, ids, vectors, mean, axes, vectors @ axes)

    def top_k(
        self, queries: Vectors, k: int, among: Mask | None = None, approximate: bool = False
    ) -> tuple[Places, Floats]:
        """Places and scores ``[Q, k']`` of the best rows for ``[Q, embed_dim]`` queries; see `exact.top_k`.

        Args:
            queries: of unit length.
            k: maximum number of rows for each query.
            among: ``[N]``, the rows to choose from; None: all.
            approximate: score only candidates that are near along the axes. A few may be missing.
        """
        count = max(CANDIDATES, FOR_EACH * k)
        choice = len(self.ids) if among is None else int(np.count_nonzero(among))
        if not approximate or not self.axes.size or choice <= FEW * count or not len(queries):
            return top_k(self.vectors, queries, k, among)
        near = candidates(self.short, queries @ self.axes, count, among)
        found = [self._best(query[None], k, places, among) for query, places in zip(queries, near, strict=True)]
        return np.concatenate([places for places, _ in found]), np.concatenate([scores for _, scores in found])

    def _best(self, query: Vectors, k: int, near: Places, among: Mask | None) -> tuple[Places, Floats]:
        """Places and scores ``[1, k']`` of the best of some rows for one query."""
        if len(near) * FEW > len(self.ids):  # many equal vectors: see `FEW`
            return top_k(self.vectors, query, k, among)
        best, scores = top_k(self.vectors[near], query, k)
        return near[best], scores

    def place(self, id: int) -> int | None:
        """The row of an id."""
        place = int(np.searchsorted(self.ids, id))
        return place if place < len(self.ids) and self.ids[place] == id else None


def _axes(vectors: Vectors) -> Axes:
    """The axes of vectors; none for so few that `Matrix.top_k` scores all of them anyway."""
    return principal_axes(vectors if len(vectors) > FEW * CANDIDATES else vectors[:0])


def open_matrix(path: Path, rows: Rows) -> Matrix:
    """Map the matrix of the rows' current version; write it first if needed."""
    version = rows.version()
    matrix = _map(path, rows.embed_dim)
    if matrix is None or matrix.version != version:
        matrix = _write(path, rows)
    return matrix


def _write(path: Path, rows: Rows) -> Matrix:
    """Write the file under a temporary name, then rename it: a reader sees a complete file or none."""
    version, ids, blocks = rows.vectors()
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    dim, total = rows.embed_dim, np.zeros(rows.embed_dim, dtype=np.float64)
    written = None
    try:
        with unfinished.open("wb") as file:
            file.seek(HEADER)
            for block in blocks:
                total += block.sum(axis=0, dtype=np.float64)
                file.write(block.tobytes())
            file.flush()
            shape = (len(ids), dim)
            vectors = np.memmap(unfinished, np.float32, "r", HEADER, shape) if len(ids) else np.zeros(shape, np.float32)
            axes = _axes(vectors)
            for start in range(0, len(ids), BLOCK):
                file.write((vectors[start : start + BLOCK] @ axes).tobytes())
            for array in (axes, (total / max(1, len(ids))).astype(np.float32), ids):
                file.write(array.tobytes())
            file.seek(0)
            head = {"version": version, "count": len(ids), "embed_dim": dim, "axes": axes.shape[1]}
            file.write(json.dumps(head).encode())
        written = _map(unfinished, dim)  # before the rename, after which others may replace the file
        unfinished.replace(path)
    except OSError:
        pass
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    if written is None:  # a read-only folder, or a full disk: search from memory instead
        version, ids, blocks = rows.vectors()
        written = Matrix.of(version, ids, np.concatenate([np.zeros((0, dim), dtype=np.float32), *blocks]))
    return written


def _map(path: Path, embed_dim: int) -> Matrix | None:
    """Map the file; None if it is missing, truncated or of another shape."""
    try:
        with path.open("rb") as file:
            head = json.loads(file.read(HEADER).rstrip(b"\0"))
        version, count, axes = int(head["version"]), int(head["count"]), int(head["axes"])
        if head["embed_dim"] != embed_dim or not 0 <= axes <= embed_dim or count < 0:
            return None
        sizes = [HEADER, count * embed_dim * 4, count * axes * 4, embed_dim * axes * 4, embed_dim * 4, count * 8]
        ends = np.cumsum(sizes, dtype=object).tolist()
        if path.stat().st_size != ends[-1]:
            return None
        content = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    vectors, short, turn, mean, ids = (content[start:end] for start, end in pairwise(ends))
    return Matrix(
        version,
        np.array(ids).view(np.int64),
        vectors.view(np.float32).reshape(count, embed_dim),
        np.array(mean).view(np.float32),
        np.array(turn).view(np.float32).reshape(embed_dim, axes),
        short.view(np.float32).reshape(count, axes),
    )
