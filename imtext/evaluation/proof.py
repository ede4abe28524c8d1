"""Check that an exported model gives the embeddings and the ranking of the trained model, apart from rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from imtext.errors import BundleError

Embeddings = npt.NDArray[np.floating[Any]]

MIN_COSINE = 0.9999
TOP_K = 10
TIE = 1e-5  # results whose scores differ by less may swap: the difference is a rounding error
MAX_DIFFERENCE = 1e-3  # of two scores of a re-ranker


def check_embeddings(tower: str, exported: Embeddings, trained: Embeddings) -> None:
    """Compare embeddings ``[n, D]`` of unit length, row by row.

    Raises:
        BundleError: a cosine is below `MIN_COSINE` or undefined.
    """
    cosine = float((exported * trained).sum(axis=1).min())
    if not cosine >= MIN_COSINE:  # NaN is refused, too
        raise BundleError(f"The exported {tower} graph differs from the trained model: lowest cosine {cosine:.6f}")


def check_ranking(exported: Embeddings, trained: Embeddings) -> None:
    """Compare the best `TOP_K` results of every query in two score matrices ``[N, B]``; ties may swap.

    Raises:
        BundleError: a query has different results, or the same results in a different order.
    """
    for ours, reference in zip(exported, trained, strict=True):
        best, expected = (np.argsort(-scores, kind="stable")[:TOP_K] for scores in (ours, reference))
        if (np.abs(reference[best] - reference[expected]) > TIE).any():
            raise BundleError("The exported model ranks pictures in another order than the trained model")


def check_grids(exported: Embeddings, trained: Embeddings) -> None:
    """Compare the grids ``[n, P, grid_dim]`` of a re-ranker, picture by picture.

    Raises:
        BundleError: the grids of a picture differ, or a number is too large for 16 bits.
    """
    ours, reference = (np.asarray(grids, dtype=np.float64).reshape(len(grids), -1) for grids in (exported, trained))
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(reference, axis=1)
    cosine = float(((ours * reference).sum(axis=1) / np.maximum(lengths, 1e-12)).min())
    if not cosine >= MIN_COSINE:
        raise BundleError(f"The grids of the exported image graph differ from the trained model: cosine {cosine:.6f}")


def check_reranked(exported: Embeddings, trained: Embeddings) -> None:
    """Compare the scores ``[N, K]`` of a re-ranker and the ranking that follows from them.

    Raises:
        BundleError: a score differs by more than rounding, or a ranking does.
    """
    if not (difference := float(np.abs(exported - trained).max())) <= MAX_DIFFERENCE:  # NaN is refused, too
        raise BundleError(f"The exported re-ranker differs from the trained one: scores by up to {difference:.6f}")
    check_ranking(exported, trained)
