"""Nearest neighbours by Lance, scored again by us, so that every store gives the same scores and the same order."""

from __future__ import annotations

from typing import Any

import numpy as np

from imtext.search.store.exact import ROUNDING, Floats, best_places, exact_scores
from imtext.search.store.lance.pictures import vectors_of
from imtext.search.store.lance.tables import width
from imtext.search.store.records import Ids, Vectors

SPARE = 16  # pictures beyond the wanted ones, among which are those with equal scores
PROBES = 100  # partitions of the vector index that a query looks into
REFINE = 20  # candidates of the index for each wanted picture, whose vectors are read
DISTANCE = "l2"  # of the vector index; it sorts vectors of unit length as their products do


def nearest(table: Any, query: Vectors, k: int, where: str, indexed: bool) -> tuple[Ids, Floats]:
    """The ids and scores of the pictures nearest to one query, best first; of equal scores the first one first.

    Args:
        table: the pictures.
        query: ``[embed_dim]`` of unit length.
        k: maximum number of pictures.
        where: the condition of the pictures to choose from; empty: all.
        indexed: use the vector index, if there is one; a few pictures may be missing then.
    """
    if indexed:
        asked = _candidates(table, query, k, where, DISTANCE)
        found = asked.nprobes(PROBES).refine_factor(REFINE).to_arrow()
        if len(found) == k:
            return _best(found, query, k)
    wanted = k + SPARE
    while True:
        found = _candidates(table, query, wanted, where, "dot").bypass_vector_index().to_arrow()
        distances = found["_distance"].to_numpy()
        # Those that Lance's rounding may have put behind the last wanted one must be there, too.
        if len(found) < wanted or distances[-1] > distances[k - 1] + ROUNDING:
            return _best(found, query, k)
        wanted *= 4


def _candidates(table: Any, query: Vectors, count: int, where: str, distance: str) -> Any:
    query = np.pad(query, (0, width(len(query)) - len(query)))
    asked = table.search(query, vector_column_name="vector").distance_type(distance).limit(count)
    asked = asked.select(["id", "vector", "_distance"])
    return asked.where(where, prefilter=True) if where else asked


def _best(found: Any, query: Vectors, k: int) -> tuple[Ids, Floats]:
    order = np.argsort(found["id"].to_numpy())
    ids, vectors = found["id"].to_numpy()[order].astype(np.int64), vectors_of(found, len(query))[order]
    scores = exact_scores(vectors, query)
    places = best_places(scores, k)
    return ids[places], scores[places]
