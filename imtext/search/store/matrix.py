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
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from imtext.search.store.binary import BLOCK, WORD, Codes, codes_of, nearest_codes
from imtext.search.store.exact import FEW, Floats, Mask, Places, top_k
from imtext.search.store.records import Ids, Vectors

if TYPE_CHECKING:
    from imtext.search.store.rows import Rows

HEADER = 4096  # bytes; the vectors begin at a page boundary
CANDIDATES = 2**20  # numbers of the vectors that an approximate search scores exactly: short codes need more of them
FOR_EACH = 10  # vectors that it scores for each one that is wanted, at least


@dataclass(frozen=True)
class Matrix:
    """All vectors of one version.

    Attributes:
        version: version of the rows.
        ids: ``[N]`` ascending.
        vectors: ``[N, embed_dim]`` of unit length.
        mean: ``[embed_dim]``, the mean of the vectors.
        codes: ``[W, N]``, the signs of the vectors less their mean; see `codes_of`.
    """

    version: int
    ids: Ids
    vectors: Vectors
    mean: Vectors
    codes: Codes

    def top_k(
        self, queries: Vectors, k: int, among: Mask | None = None, approximate: bool = False
    ) -> tuple[Places, Floats]:
        """Places and scores ``[Q, k']`` of the best rows for ``[Q, embed_dim]`` queries; see `exact.top_k`.

        Args:
            queries: of unit length.
            k: maximum number of rows for each query.
            among: ``[N]``, the rows to choose from; None: all.
            approximate: score only candidates that are near by the signs of their numbers. A few may be missing.
        """
        count = max(CANDIDATES // self.vectors.shape[1], FOR_EACH * k)
        choice = len(self.ids) if among is None else int(np.count_nonzero(among))
        if not approximate or choice <= FEW * count or not len(queries):
            return top_k(self.vectors, queries, k, among)
        found = [self._near(query, k, count, among) for query in queries]
        return np.stack([places for places, _ in found]), np.stack([scores for _, scores in found])

    def _near(self, query: Vectors, k: int, count: int, among: Mask | None) -> tuple[Places, Floats]:
        """Places and scores of one query, of its nearest `count` codes."""
        candidates = nearest_codes(self.codes, codes_of(query[None], self.mean), count, among)
        candidates.sort()  # they are read in order of place
        (best,), (scores,) = top_k(self.vectors[candidates], query[None], k)
        return candidates[best], scores

    def place(self, id: int) -> int | None:
        """The row of an id."""
        place = int(np.searchsorted(self.ids, id))
        return place if place < len(self.ids) and self.ids[place] == id else None


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
    total = np.zeros(rows.embed_dim, dtype=np.float64)
    written = None
    try:
        with unfinished.open("wb") as file:
            file.seek(HEADER)
            for block in blocks:
                total += block.sum(axis=0, dtype=np.float64)
                file.write(block.tobytes())
            mean = (total / max(1, len(ids))).astype(np.float32)
            file.write(ids.tobytes())
            file.write(_codes(file, len(ids), mean).tobytes())
            file.write(mean.tobytes())
            file.seek(0)
            file.write(json.dumps({"version": version, "count": len(ids), "embed_dim": rows.embed_dim}).encode())
        written = _map(unfinished, rows.embed_dim)  # before the rename, after which others may replace the file
        unfinished.replace(path)
    except OSError:
        pass
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    if written is None:  # a read-only folder, or a full disk: search from memory instead
        version, ids, blocks = rows.vectors()
        vectors = np.concatenate([np.zeros((0, rows.embed_dim), dtype=np.float32), *blocks])
        mean = vectors.mean(axis=0) if len(ids) else vectors.sum(axis=0)
        written = Matrix(version, ids, vectors, mean, codes_of(vectors, mean))
    return written


def _codes(file: BinaryIO, count: int, mean: Vectors) -> Codes:
    """The codes of the vectors in a file that is being written, because their mean is known only at the end."""
    file.flush()
    words = -(-len(mean) // WORD)
    codes = np.zeros((words, count), dtype=np.uint64)
    for start in range(0, count, BLOCK):
        rows = min(BLOCK, count - start)
        offset = HEADER + start * mean.nbytes
        block = np.memmap(file.name, dtype=np.float32, mode="r", offset=offset, shape=(rows, len(mean)))
        codes[:, start : start + rows] = codes_of(block, mean)
    return codes


def _map(path: Path, embed_dim: int) -> Matrix | None:
    """Map the file; None if it is missing, truncated or of another shape."""
    try:
        with path.open("rb") as file:
            head = json.loads(file.read(HEADER).rstrip(b"\0"))
        version, count = int(head["version"]), int(head["count"])
        words = -(-embed_dim // WORD)
        ends = np.cumsum([HEADER, count * embed_dim * 4, count * 8, count * words * 8, embed_dim * 4]).tolist()
        if head["embed_dim"] != embed_dim or path.stat().st_size != ends[-1]:
            return None
        content = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    vectors, ids, codes, mean = (content[start:end] for start, end in pairwise(ends))
    return Matrix(
        version,
        np.array(ids).view(np.int64),
        vectors.view(np.float32).reshape(count, embed_dim),
        np.array(mean).view(np.float32),
        codes.view(np.uint64).reshape(words, count),
    )
