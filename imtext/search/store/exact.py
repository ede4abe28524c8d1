"""Exact nearest neighbours by matrix products, at the speed of memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from imtext.search.store.records import Vectors

BLOCK = 65_536  # rows scored at once for several queries, so that their scores fit in the processor's cache
QUERIES = 64  # queries scored at once: 16 MB of scores

ROUNDING = 1e-5  # by which two ways to add up the same score differ, at most
GROUP = 64  # scores of which the largest is taken, at most
FEW = 8  # at most N / 8 rows are copied before they are scored; of more rows, the copy takes longer than it saves

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def top_k(vectors: Vectors, queries: Vectors, k: int, among: Mask | None = None) -> tuple[Places, Floats]:
    """The rows of ``[N, embed_dim]`` vectors that are nearest to each of ``[Q, embed_dim]`` queries.

    Args:
        vectors: of unit length.
        queries: of unit length.
        k: maximum number of rows for each query.
        among: ``[N]``, the rows to choose from; None: all.

    Returns:
        Places ``[Q, k']`` and scores ``[Q, k']``, best first; k' is the smaller of k and N. Rows with equal scores are
        in ascending order, so that a query always has the same result.
    """
    if among is not None:
        rows = np.flatnonzero(among)
        if len(rows) * FEW <= len(vectors):
            places, best_scores = top_k(vectors[rows], queries, k)
            return rows[places], best_scores
        k = min(k, len(rows))
    k = min(k, len(vectors))
    if k < 1 or not len(queries):
        return np.zeros((len(queries), 0), dtype=np.int64), np.zeros((len(queries), 0), dtype=np.float32)
    if len(queries) == 1:  # by far the most frequent case; a product with one vector runs at the speed of memory
        places, best_scores = _settle(vectors, queries[0], _near(only(among, vectors @ queries[0]), k), k)
        return places[None], best_scores[None]
    if len(queries) > QUERIES:
        parts = [
            top_k(vectors, queries[start : start + QUERIES], k, among) for start in range(0, len(queries), QUERIES)
        ]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    found = [np.zeros(0, dtype=np.int64) for _ in queries]
    kept = [np.zeros(0, dtype=np.float32) for _ in queries]
    for start in range(0, len(vectors), BLOCK):
        part = None if among is None else among[start : start + BLOCK]
        for row, line in enumerate(only(part, queries @ vectors[start : start + BLOCK].T)):
            near = _near(line, min(k, len(line)))
            found[row] = np.concatenate([found[row], near + start])
            kept[row] = np.concatenate([kept[row], line[near]])
    best = [
        _settle(vectors, query, places[_near(scores, k)], k)
        for query, places, scores in zip(queries, found, kept, strict=True)
    ]
    return np.stack([places for places, _ in best]), np.stack([scores for _, scores in best])


def exact_scores(vectors: Vectors, query: Vectors) -> Floats:
    """Scores ``[N]`` of ``[N, embed_dim]`` vectors and a query ``[embed_dim]``, added up in double precision.

    A matrix product adds in an order that depends on where a vector lies in the matrix. Here equal vectors have equal
    scores, so that results do not depend on how pictures are divided among stores.
    """
    return np.asarray((vectors.astype(np.float64) * query).sum(axis=1), dtype=np.float32)


def _settle(vectors: Vectors, query: Vectors, places: Places, k: int) -> tuple[Places, Floats]:
    """The best k of some rows by their `exact_scores`, and these."""
    scores = exact_scores(vectors[places], query)
    best = best_places(scores, k)
    return places[best], scores[best]


def _near(scores: Floats, k: int) -> Places:
    """The places, in ascending order, of all scores that may be among the k largest."""
    if k >= len(scores):
        return np.flatnonzero(scores > -np.inf)
    some = scores[at_least(scores, k)]
    least = np.partition(some, -k)[-k]
    return np.flatnonzero((scores >= least - np.float32(ROUNDING)) & (scores > -np.inf))


def only(among: Mask | None, scores: Floats) -> Floats:
    """Scores ``[…, N]`` with the lowest one possible for rows that are not chosen from."""
    return scores if among is None else np.where(among, scores, np.float32(-np.inf))


def best_places(scores: Floats, k: int) -> Places:
    """The places of the k largest scores, largest first, ties in order of place."""
    places = at_least(scores, k)
    return places[np.argsort(-scores[places], kind="stable")[:k]]


def at_least(scores: Floats, k: int) -> Places:
    """The places, ascending, of the k largest scores, of all that equal the last of them, and of a few more.

    Scores are compared in groups. At least k of them reach the k-th largest maximum of a group, and few others do as
    long as there are many more groups. That is faster than `np.partition` of all scores.
    """
    if (k := min(k, len(scores))) < 1:
        return np.zeros(0, dtype=np.int64)
    size = max(1, min(GROUP, len(scores) // (FEW * k)))
    largest = scores[: len(scores) // size * size].reshape(size, -1).max(axis=0)  # contiguous rows: fast
    return np.flatnonzero(scores >= np.partition(largest, -k)[-k])
