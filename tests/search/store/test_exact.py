"""Exact search equals sorting all scores."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from imtext.search.store.exact import BLOCK, at_least, best_places, top_k
from imtext.search.store.records import Vectors


def vectors(count: int, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 9, 500, BLOCK + 100])
def test_equals_sorting_everything(count: int) -> None:
    searched, queries = vectors(count), vectors(5, seed=1)
    places, scores = top_k(searched, queries, 10)
    full = queries @ searched.T
    for row in range(5):
        expected = np.argsort(-full[row], kind="stable")[:10]
        np.testing.assert_array_equal(places[row], expected)
        np.testing.assert_allclose(scores[row], full[row][expected], atol=1e-5)
        alone, _ = top_k(searched, queries[row : row + 1], 10)
        np.testing.assert_array_equal(alone[0], places[row])


@pytest.mark.parametrize("count", [1, 100, 3_000, 100_003])
@pytest.mark.parametrize("k", [1, 10, 700])
def test_the_best_of_very_many_scores(count: int, k: int) -> None:
    drawn = np.random.default_rng(0).normal(size=count).astype(np.float32).round(2)  # with many ties
    for scores in (drawn, np.sort(drawn), -np.sort(drawn), np.zeros_like(drawn)):
        assert best_places(scores, k).tolist() == np.argsort(-scores, kind="stable")[:k].tolist()
    assert len(at_least(drawn + np.arange(count) * 1e-9, k)) < 1.5 * k + 10


def test_ties_keep_their_order() -> None:
    searched = np.ones((1000, 4), dtype=np.float32)
    searched[700] += 1
    for queries in (np.ones((1, 4), np.float32), np.ones((3, 4), np.float32)):
        places, _ = top_k(searched, queries, 4)
        assert places[0].tolist() == [700, 0, 1, 2]


def test_many_queries_take_little_memory() -> None:
    searched, queries = vectors(BLOCK), vectors(200, seed=1)
    tracemalloc.start()
    places, scores = top_k(searched, queries, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6, "the scores of all queries are 52 MB"
    assert places.shape == scores.shape == (200, 3)
    np.testing.assert_array_equal(places[199], top_k(searched, queries[199:], 3)[0][0])


def test_nothing_to_find() -> None:
    assert top_k(vectors(0), np.ones((2, 8), np.float32), 5)[0].shape == (2, 0)
    assert top_k(vectors(5), np.ones((0, 8), np.float32), 5)[0].shape == (0, 0)
