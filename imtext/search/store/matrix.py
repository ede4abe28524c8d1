"""Exact search at the speed of memory: every vector of an index in one block, mapped from disk.

The file is a cache. It is derived from the rows that are committed, carries their version, and is made anew when it is
missing, of other rows or cut short; it is never the truth.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from imtext.search.store.sqlite import Ids, Vectors, VectorStore

HEADER = 4096  # bytes; the vectors begin at a page of their own
BLOCK = 65_536  # rows scored at once with many queries: their scores stay in the cache
QUERIES = 64  # scored at once: 16 MB of scores

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Matrix:
    """All vectors of one version.

    Attributes:
        version: of the rows it was made from.
        ids: ``[N]`` ascending.
        vectors: ``[N, embed_dim]`` of unit length.
        mean: ``[embed_dim]``, of the vectors: a query's mean score over the gallery is one product with it.
    """

    version: int
    ids: Ids
    vectors: Vectors
    mean: Vectors

    def top_k(self, queries: Vectors, k: int) -> tuple[Places, Floats]:
        """The best rows for each of ``[Q, embed_dim]`` queries.

        Returns:
            Places ``[Q, k']`` and scores ``[Q, k']``, best first, k' the smaller of k and N. Of equal scores the one
            that was indexed first comes first, so that the same query always gives the same answer.
        """
        k = min(k, len(self.ids))
        if k < 1 or not len(queries):
            return np.zeros((len(queries), 0), dtype=np.int64), np.zeros((len(queries), 0), dtype=np.float32)
        if len(queries) == 1:  # by far the most frequent; a product with one vector runs at the speed of memory
            scores = self.vectors @ queries[0]
            places = _best(scores, k)
            return places[None], scores[places][None]
        if len(queries) > QUERIES:
            parts = [self.top_k(queries[start : start + QUERIES], k) for start in range(0, len(queries), QUERIES)]
            return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
        found = [np.zeros(0, dtype=np.int64) for _ in queries]
        kept = [np.zeros(0, dtype=np.float32) for _ in queries]
        for start in range(0, len(self.ids), BLOCK):
            for row, line in enumerate(queries @ self.vectors[start : start + BLOCK].T):
                best = _best(line, min(k, len(line)))
                found[row] = np.concatenate([found[row], best + start])
                kept[row] = np.concatenate([kept[row], line[best]])
        for row, score in enumerate(kept):
            best = _best(score, k)
            found[row], kept[row] = found[row][best], score[best]
        return np.stack(found), np.stack(kept)


def _best(scores: Floats, k: int) -> Places:
    """Where the k largest are, largest first, ties in order of place."""
    if k < len(scores):
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        places = np.flatnonzero(scores >= least)  # all that tie with the last, too
    else:
        places = np.arange(len(scores))
    return places[np.argsort(-scores[places], kind="stable")[:k]]


def open_matrix(path: Path, store: VectorStore) -> Matrix:
    """Map the matrix of a store's present version, making it first if need be."""
    version = store.version()
    matrix = _map(path, store.embed_dim)
    if matrix is None or matrix.version != version:
        matrix = _make(path, store)
    return matrix


def _make(path: Path, store: VectorStore) -> Matrix:
    """Write the file beside its place, then move it there: a reader sees a whole one or none."""
    version, ids, blocks = store.vectors()
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    total = np.zeros(store.embed_dim, dtype=np.float64)
    made = None
    try:
        with unfinished.open("wb") as file:
            file.seek(HEADER)
            for block in blocks:
                total += block.sum(axis=0, dtype=np.float64)
                file.write(block.tobytes())
            file.write(ids.tobytes())
            mean = (total / max(1, len(ids))).astype(np.float32)
            file.write(mean.tobytes())
            file.seek(0)
            file.write(json.dumps({"version": version, "count": len(ids), "embed_dim": store.embed_dim}).encode())
        made = _map(unfinished, store.embed_dim)  # what lies in its place may be another's a moment later
        unfinished.replace(path)
    except OSError:
        pass
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    if made is None:
        # A folder that may only be read, or a full disk: search from memory instead.
        version, ids, blocks = store.vectors()
        vectors = np.concatenate([np.zeros((0, store.embed_dim), dtype=np.float32), *blocks])
        made = Matrix(version, ids, vectors, vectors.mean(axis=0) if len(ids) else vectors.sum(axis=0))
    return made


def _map(path: Path, embed_dim: int) -> Matrix | None:
    """The file as it is, or None if it is missing, cut short or of another shape."""
    try:
        with path.open("rb") as file:
            head = json.loads(file.read(HEADER).rstrip(b"\0"))
        count = int(head["count"])
        if head["embed_dim"] != embed_dim or path.stat().st_size != HEADER + (count + 1) * embed_dim * 4 + count * 8:
            return None
        content = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    end = HEADER + count * embed_dim * 4
    return Matrix(
        int(head["version"]),
        np.array(content[end : end + count * 8]).view(np.int64),
        content[HEADER:end].view(np.float32).reshape(count, embed_dim),
        np.array(content[end + count * 8 :]).view(np.float32),
    )
