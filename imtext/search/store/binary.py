"""Nearest neighbours by one bit of each number, 32 times less to read than exact search.

The code of a vector is the sign of each of its numbers, and codes with few different bits belong to similar vectors
(Charikar, "Similarity estimation techniques from rounding algorithms", 2002). Many more candidates than wanted are
found in this way; the caller scores them exactly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from imtext.search.store.exact import Mask, Places
from imtext.search.store.records import Vectors

WORD = 64  # bits that are compared at once
BLOCK = 32_768  # codes compared at once, so that they fit in the processor's cache
SAMPLE = 16_384  # distances from which the largest one of the candidates is guessed

Codes = npt.NDArray[np.uint64]


def codes_of(vectors: Vectors, mean: Vectors) -> Codes:
    """``[N, embed_dim]`` vectors → ``[W, N]``, where W words of 64 bits hold the signs of one vector.

    A word of all vectors comes before the next word, so that one instruction compares the words of several vectors.

    Args:
        vectors: the vectors.
        mean: ``[embed_dim]``, is subtracted: what all vectors share would give them the same bits.
    """
    words = -(-vectors.shape[1] // WORD)
    bits = np.zeros((len(vectors), words * WORD // 8), dtype=np.uint8)
    packed = np.packbits(vectors > mean, axis=1)
    bits[:, : packed.shape[1]] = packed
    return np.ascontiguousarray(bits.view(np.uint64).T)


def nearest_codes(codes: Codes, query: Codes, count: int, among: Mask | None = None) -> Places:
    """The codes that differ from a query in the fewest bits.

    Args:
        codes: ``[W, N]``, result of `codes_of`.
        query: ``[W, 1]``, result of `codes_of` for one vector.
        count: maximum number of codes.
        among: ``[N]``, the codes to choose from; None: all.

    Returns:
        Their places in ascending order of distance; of equal distances, in order of place.
    """
    distances = _distances(codes, query)
    if among is not None:
        distances[~among] = codes.shape[0] * WORD + 1
        count = min(count, int(np.count_nonzero(among)))
    places = _at_most(distances, _guess(distances, count), count)
    return places[np.argsort(distances[places], kind="stable")[:count]]


def _distances(codes: Codes, query: Codes) -> npt.NDArray[np.uint16]:
    """The number of bits in which each code differs."""
    size = codes.shape[1]
    distances = np.zeros(size, dtype=np.uint16)
    different, bits = np.empty(BLOCK, dtype=np.uint64), np.empty(BLOCK, dtype=np.uint8)
    for start in range(0, size, BLOCK):
        part = distances[start : start + BLOCK]
        for word, asked in zip(codes[:, start : start + BLOCK], query[:, 0], strict=True):
            np.bitwise_xor(word, asked, out=different[: len(part)])
            np.bitwise_count(different[: len(part)], out=bits[: len(part)])
            np.add(part, bits[: len(part)], out=part)
    return distances


def _guess(distances: npt.NDArray[np.uint16], count: int) -> int:
    """The distance of the last candidate, guessed from every n-th one: sorting all of them would take longer."""
    some = np.sort(distances[:: max(1, len(distances) // SAMPLE)])
    return int(some[min(len(some) - 1, count * len(some) // max(1, len(distances)))]) if len(some) else 0


def _at_most(distances: npt.NDArray[np.uint16], limit: int, count: int) -> Places:
    """The places of all distances up to a limit, which is raised until there are enough."""
    places = np.flatnonzero(distances <= limit)
    while len(places) < min(count, len(distances)):
        limit += 1
        places = np.flatnonzero(distances <= limit)
    return places
