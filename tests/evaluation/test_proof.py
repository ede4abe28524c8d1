"""An export that differs from the model is refused, unless the difference is rounding."""

from __future__ import annotations

import numpy as np
import pytest

from imtext.errors import BundleError
from imtext.evaluation.proof import check_embeddings, check_grids, check_ranking, check_reranked


def unit(rows: int, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(rows, 8))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def test_rounding_is_accepted() -> None:
    embeddings = unit(5)
    check_embeddings("image", embeddings, embeddings.astype(np.float32))
    scores = embeddings @ unit(30, 1).T
    check_ranking(scores, scores.astype(np.float32))


@pytest.mark.parametrize("changed", [-1.0, np.nan])
def test_one_wrong_row_is_refused(changed: float) -> None:
    embeddings = unit(5)
    other = embeddings.copy()
    other[3] *= changed
    with pytest.raises(BundleError, match="image graph differs from the trained model: lowest cosine"):
        check_embeddings("image", embeddings, other)


def test_ties_may_change_places_but_results_may_not() -> None:
    trained = np.array([[0.5, 0.4, 0.4, 0.1]])
    check_ranking(np.array([[0.5, 0.4, 0.400001, 0.1]]), trained)
    with pytest.raises(BundleError, match="another order"):
        check_ranking(np.array([[0.4, 0.5, 0.4, 0.1]]), trained)


def test_grids_are_compared_picture_by_picture() -> None:
    grids = np.random.default_rng(0).normal(size=(5, 9, 8))
    check_grids(grids.astype(np.float16), grids)
    for wrong in (-1.0, np.inf, np.nan):
        other = grids.copy()
        other[3, 2, 1] *= 50 * wrong
        with pytest.raises(BundleError, match="grids of the exported image graph differ"):
            check_grids(other, grids)


def test_scores_of_a_reranker_are_compared_and_so_is_their_order() -> None:
    trained = np.array([[3.0, 2.0, 1.0], [0.3, 0.2, 0.1999]])
    check_reranked(trained.astype(np.float32), trained)
    with pytest.raises(BundleError, match=r"re-ranker differs from the trained one: scores by up to 0\.01"):
        check_reranked(trained + 0.01, trained)
    with pytest.raises(BundleError, match="re-ranker differs"):
        check_reranked(np.where(trained > 2, np.nan, trained), trained)
    with pytest.raises(BundleError, match="another order"):
        check_reranked(trained + np.array([[0, 0, 0], [0, 0, 5e-4]]), trained)
