"""Codes equal signs, and the nearest codes are those that sorting all distances finds."""

from __future__ import annotations

import numpy as np
import pytest

from imtext.search.store import binary
from imtext.search.store.binary import BLOCK, SAMPLE, Codes, nearest_codes


def vectors(count: int, dim: int = 70, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def codes_of(vectors: np.ndarray) -> Codes:
    return binary.codes_of(vectors, np.zeros(vectors.shape[1], dtype=np.float32))


@pytest.mark.parametrize("count", [1, 7, 500, BLOCK + 100, 3 * SAMPLE + 1])
@pytest.mark.parametrize("wanted", [1, 20, 900])
def test_equals_sorting_everything(count: int, wanted: int) -> None:
    searched, query = vectors(count), vectors(1, seed=1)
    distances = ((searched > 0) != (query > 0)).sum(axis=1)
    expected = np.argsort(distances, kind="stable")[:wanted]
    assert nearest_codes(codes_of(searched), codes_of(query), wanted).tolist() == expected.tolist()


def test_a_choice_of_rows() -> None:
    searched, query = vectors(5_000), vectors(1, seed=1)
    among = np.random.default_rng(2).random(5_000) < 0.01
    distances = ((searched > 0) != (query > 0)).sum(axis=1)
    order = np.argsort(distances, kind="stable")
    expected = order[among[order]].tolist()
    assert nearest_codes(codes_of(searched), codes_of(query), 9, among).tolist() == expected[:9]
    assert nearest_codes(codes_of(searched), codes_of(query), 900, among).tolist() == expected


def test_equal_codes_and_none() -> None:
    same = np.ones((50_000, 64), dtype=np.float32)
    assert nearest_codes(codes_of(same), codes_of(-same[:1]), 3).tolist() == [0, 1, 2]
    assert nearest_codes(codes_of(same[:0]), codes_of(same[:1]), 3).tolist() == []


def test_words_of_64_bits() -> None:
    assert codes_of(vectors(5, dim=64)).shape == (1, 5)
    assert codes_of(vectors(5, dim=65)).shape == (2, 5)
    flipped = vectors(1, dim=65)
    assert np.bitwise_count(codes_of(flipped) ^ codes_of(-flipped)).sum() == 65


def test_the_mean_is_subtracted() -> None:
    """Codes of vectors with a large common part are those of the rest."""
    rest, common = vectors(40), np.full(70, 9, dtype=np.float32)
    np.testing.assert_array_equal(binary.codes_of(rest + common, common), codes_of(rest))
