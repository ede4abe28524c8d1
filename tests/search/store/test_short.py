"""The axes hold what scores differ by, and candidates hold what sorting all short scores finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from imtext.search.store.records import Vectors
from imtext.search.store.short import AT_ONCE, SAMPLE, candidates, principal_axes


def spread(count: int, deviations: Sequence[float], seed: int = 0) -> Vectors:
    """``[count, D]``, with these standard deviations along turned axes, around a common vector."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(len(deviations), len(deviations))))
    return np.asarray(1 + rng.normal(size=(count, len(deviations))) * deviations @ turn, dtype=np.float32)


@pytest.mark.parametrize("count", [100, SAMPLE + 1])
def test_few_axes_hold_what_differs(count: int) -> None:
    vectors = spread(count, [3, 2, 1] + [0.01] * 61)
    axes = principal_axes(vectors)
    assert axes.shape == (64, 16)
    np.testing.assert_allclose(axes.T @ axes, np.eye(16), atol=1e-5)
    rest = vectors - vectors.mean(axis=0)
    assert np.linalg.norm(rest - rest @ axes @ axes.T) < 0.02 * np.linalg.norm(rest)
    assert np.argsort(-(vectors @ axes).std(axis=0)).tolist()[:3] == [0, 1, 2], "most variance first"


def test_numbers_that_all_count_alike_are_not_shortened() -> None:
    assert principal_axes(spread(2_000, [1] * 64)).shape == (64, 0)


@pytest.mark.parametrize("vectors", [np.zeros((0, 64)), np.ones((1, 64)), np.ones((50, 1))])
def test_too_little_to_tell(vectors: Vectors) -> None:
    assert principal_axes(vectors.astype(np.float32)).shape == (vectors.shape[1], 0)


@pytest.mark.parametrize("queries", [1, AT_ONCE + 1])
@pytest.mark.parametrize("among", [None, np.arange(5_000) % 3 == 0])
def test_candidates_equal_sorting_everything(queries: int, among: np.ndarray | None) -> None:
    rng = np.random.default_rng(0)
    short, asked = (rng.normal(size=(count, 16)).astype(np.float32) for count in (5_000, queries))
    found = candidates(short, asked, 50, among)
    assert len(found) == queries
    for query, places in zip(asked, found, strict=True):
        scores = np.where(True if among is None else among, short @ query, -np.inf)
        assert set(np.argsort(-scores)[:50]) <= set(places.tolist())
        assert 50 <= len(places) < 80
        assert (np.diff(places) > 0).all()
        assert among is None or among[places].all()
