"""Near duplicates: pictures that are resized, saved again, slightly cropped or turned, or that follow in a burst.

Two pictures are near duplicates if their hashes differ in at most `MOST_BITS` of 128 bits and their embeddings have at
least `LEAST_COSINE`. The hash decides, because it does not depend on the model; the cosine only rules out what no model
takes for alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np

from imtext.search.facts import Facts
from imtext.search.hashing import close_pairs, distances, to_words
from imtext.search.results import Duplicate
from imtext.search.store.columns import local_time
from imtext.search.store.protocol import Store
from imtext.search.store.records import File, Vectors

MOST_BITS = 22
LEAST_COSINE = 0.6
CANDIDATES = 1_000  # of one picture: near duplicates are among the pictures most similar to it

LOSSLESS = re.compile(r"\.(png|tiff?|bmp)$", re.IGNORECASE)


def group(store: Store, ids: Sequence[int], facts: Mapping[int, Facts]) -> list[list[int]]:
    """Put near duplicates into groups.

    Each picture joins the first picture before it that leads a group and is its near duplicate, or else leads a new
    group. So all pictures of a group are near duplicates of the first one, though not of each other.

    Args:
        store: has the vectors.
        ids: N pictures in the order of their importance.
        facts: their hashes; a picture without one is alone.

    Returns:
        Places of pictures, 0 … N - 1, the leading one first; groups are in the order of their leading pictures.
    """
    hashes = {place: digest for place, id in enumerate(ids) if id in facts and (digest := facts[id].hash)}
    places, vector = list(hashes), cache(store.vector_of)
    joined = np.zeros(len(places), dtype=np.bool_)
    groups = {place: [place] for place in range(len(ids))}
    for first, second in close_pairs(to_words(list(hashes.values())), MOST_BITS):
        free = ~(joined[first] | joined[second])
        for one, other in zip(first[free].tolist(), second[free].tolist(), strict=True):
            if joined[one] or joined[other] or not _alike(vector(ids[places[one]]), vector(ids[places[other]])):
                continue
            joined[other] = True
            groups[places[one]] += groups.pop(places[other])
    return list(groups.values())


def _alike(one: Vectors | None, other: Vectors | None) -> bool:
    """Whether embeddings do not rule out near duplicates; None: the picture was removed a moment ago."""
    return one is not None and other is not None and float(one @ other) >= LEAST_COSINE


def find_duplicates(store: Store) -> list[tuple[Duplicate, ...]]:
    """All groups of near duplicates and of files with the same content, the best picture of each group first.

    The groups that take the most bytes beside their best file come first.
    """
    ids = store.ids()
    pictures = _described(store, ids)
    best = sorted(pictures, key=lambda id: _worth(pictures[id]))
    groups = [tuple(pictures[best[place]] for place in places) for places in group(store, best, store.facts(best))]
    return sorted((one for one in groups if len(one) > 1 or one[0].copies), key=lambda one: (-_spare(one), one[0].path))


def duplicates_of(store: Store, id: int) -> list[Duplicate]:
    """The near duplicates of one picture, without itself, the best first."""
    vector = store.vector_of(id)
    if vector is None:
        return []
    neighbors = store.nearest(vector[None], CANDIDATES)
    alike = [id, *neighbors.ids[0][neighbors.scores[0] >= LEAST_COSINE].tolist()]
    facts = store.facts(alike)
    hashes = {one: digest for one in alike if one in facts and (digest := facts[one].hash)}
    if id not in hashes:
        return []
    bits = distances(to_words([hashes.pop(id)]), to_words(list(hashes.values())))[0]
    near = [one for one, distance in zip(hashes, bits.tolist(), strict=True) if distance <= MOST_BITS]
    return sorted(_described(store, near).values(), key=_worth)


def _described(store: Store, ids: Sequence[int]) -> dict[int, Duplicate]:
    """Id → what is known of a picture; pictures that were removed a moment ago are left out."""
    facts, held = store.facts(ids), store.held(ids)
    return {id: _duplicate(held[id], facts.get(id, Facts())) for id in ids if id in held}


def _duplicate(files: Sequence[File], facts: Facts) -> Duplicate:
    first, *copies = files
    date = facts.taken or local_time(min(file.mtime_ns for file in files))
    paths = tuple(file.path for file in copies)
    return Duplicate(first.path, first.content.hex(), paths, first.size, facts.width, facts.height, date)


def _worth(one: Duplicate) -> tuple[int, int, bool, str, str]:
    """A key to sort by, the best first: most pixels, largest file, without loss, oldest."""
    return -one.width * one.height, -one.bytes, not LOSSLESS.search(one.path), one.date[:19], one.path


def _spare(group: Iterable[Duplicate]) -> int:
    """Bytes of all files of a group but the best."""
    first, *others = group
    return first.bytes * len(first.copies) + sum(one.bytes * (1 + len(one.copies)) for one in others)
