"""Nearest neighbours by short vectors, about a tenth as much to read as for exact search.

Pictures differ mostly along a few directions. Their coordinates along these, the principal axes (Jolliffe, "Principal
Component Analysis", 2002), give nearly the same order of scores. More candidates than wanted are found in this way; the
caller scores them exactly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from imtext.search.store.exact import Mask, Places, at_least, only
from imtext.search.store.records import Vectors

SAMPLE = 16_384  # vectors of which the axes are computed: one in 61 of a million
STEP = 16  # axes are added in these steps: as many numbers as the widest instructions process at once
KEPT = 0.98  # share of the variance of the pictures' scores with each other that the axes keep
AT_ONCE = 8  # queries whose scores are held at once: 32 MB for a million pictures

Axes = npt.NDArray[np.float32]


def principal_axes(vectors: Vectors) -> Axes:
    """The directions along which most of the differences between scores lie.

    Along an axis with variance v, both pictures of a pair vary, so it has v² of the variance of their scores.

    Args:
        vectors: ``[N, embed_dim]``.

    Returns:
        ``[embed_dim, A]``, orthonormal columns, most variance first. A is 0 if more than half of the numbers would be
        needed, because a search by them would not be faster.
    """
    dim = vectors.shape[1]
    some = np.asarray(vectors[:: -(-len(vectors) // SAMPLE) or 1], dtype=np.float64)
    if len(some) < 2:
        return np.zeros((dim, 0), dtype=np.float32)
    variances, axes = np.linalg.eigh(np.cov(some, rowvar=False).reshape(dim, dim))
    shares = np.cumsum(variances[::-1] ** 2)
    needed = int(np.searchsorted(shares, KEPT * shares[-1])) + 1
    count = -(-needed // STEP) * STEP
    return np.ascontiguousarray(axes[:, ::-1][:, : count if 2 * count <= dim else 0], dtype=np.float32)


def candidates(short: Vectors, queries: Vectors, count: int, among: Mask | None = None) -> list[Places]:
    """For each query, the places of the vectors that are nearest by their coordinates along the axes.

    Args:
        short: ``[N, A]``, coordinates of the vectors.
        queries: ``[Q, A]``, coordinates of the queries.
        count: number of vectors to find for each query.
        among: ``[N]``, the vectors to choose from; None: all.

    Returns:
        Ascending places of `count` vectors and of a few more, or of all.
    """
    found = []
    for start in range(0, len(queries), AT_ONCE):
        scores = only(among, queries[start : start + AT_ONCE] @ short.T)
        found += [at_least(line, count) for line in scores]
    return found
