"""Fit the calibration of relevance (`imtext.search.calibration`) on validation pairs.

A logistic regression (Platt, "Probabilistic outputs for support vector machines", 1999) learns from what users would
see: the ten best results in galleries of 100 pictures. Half of the galleries do not contain the picture that the text
was written for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imtext.search.calibration import PRIOR_PICTURES, Calibration, Floats, sigmoid

GALLERY, SHOWN, LEVELS = 100, 10, 10
KEPT = 0.9  # share of queries with an answer whose best result must not be hidden
MIN_PICTURES = 20

# The number of a text and the columns of its candidates, best first → their new scores.
Rerank = Callable[[int, npt.NDArray[np.int64]], Floats]


def fit_calibration(
    scores: Floats,
    answers: npt.NDArray[np.integer[Any]],
    seed: int = 0,
    rerank: Rerank | None = None,
    depth: int = 0,
) -> Calibration:
    """Fit a calibration.

    Args:
        scores: ``[N, B]``, similarity of N texts and B pictures of the validation set.
        answers: ``[N]``, the column of the picture that each text was written for.
        seed: seed of the galleries.
        rerank: fit the scores of a re-ranker instead, which scores the best pictures of each gallery again. The usual
            score of a query remains that of the dual encoder, which is known for the whole gallery.
        depth: number of pictures that the re-ranker scores.

    Raises:
        ValueError: there are fewer than 20 pictures.
    """
    pictures = scores.shape[1]
    if pictures < MIN_PICTURES:
        raise ValueError(f"{pictures} validation pictures are too few to fit the relevance; {MIN_PICTURES} are needed")
    rng = np.random.default_rng(seed)
    matching = scores[np.arange(len(answers)), answers]
    usual = float((scores.sum() - matching.sum()) / (scores.size - len(answers)))
    shown = _search_galleries(scores, answers, usual, rng, rerank, depth)
    half = np.isin(answers, rng.permutation(pictures)[: pictures // 2])[shown.query]
    # The error is measured on pictures that these weights have not seen; the final weights are fitted to all.
    weights = _fit_logistic(shown.features[half], shown.correct[half])
    error, reliability = _measure(_predict(shown.features[~half], weights), shown.correct[~half])
    weights = _fit_logistic(shown.features, shown.correct)
    best = _predict(shown.features[shown.first], weights)
    present = shown.present[shown.first]
    threshold = float(np.quantile(best[present], 1 - KEPT))
    score_weight, margin_weight, bias = map(float, weights)
    return Calibration(
        score_weight,
        margin_weight,
        bias,
        usual_score=usual,
        min_relevance=threshold,
        refused=float((best[~present] < threshold).mean()),
        error=error,
        reliability=reliability,
    )


@dataclass
class _Shown:
    """R results of all queries."""

    features: Floats  # [R, 2]: score and margin
    correct: npt.NDArray[np.bool_]  # [R]
    query: npt.NDArray[np.int64]  # [R]
    present: npt.NDArray[np.bool_]  # [R]: is the query's picture in its gallery?
    first: npt.NDArray[np.bool_]  # [R]: is it the first result of its query?


def _search_galleries(
    scores: Floats,
    answers: npt.NDArray[np.integer[Any]],
    usual: float,
    rng: np.random.Generator,
    rerank: Rerank | None,
    depth: int,
) -> _Shown:
    """Search one random gallery for each text."""
    texts, pictures = scores.shape
    size = min(GALLERY, pictures - 1)
    rows: list[tuple[Any, ...]] = []
    for text in range(texts):
        gallery = rng.choice(pictures - 1, size, replace=False)
        gallery += gallery >= answers[text]  # any picture but the answer
        present = bool(rng.random() < 0.5)
        if present:
            gallery[0] = answers[text]
        row = scores[text, gallery]
        best = np.argsort(-row, kind="stable")
        typical = (row.sum() + usual * PRIOR_PICTURES) / (size + PRIOR_PICTURES)
        if rerank is not None:
            best = best[:depth]
            row = row.copy()
            row[best] = rerank(text, gallery[best])
            best = best[np.argsort(-row[best], kind="stable")]
        best = best[:SHOWN]
        rows += [
            (row[column], row[column] - typical, gallery[column] == answers[text], text, present, place == 0)
            for place, column in enumerate(best)
        ]
    score, margin, correct, query, present_, first = zip(*rows, strict=True)
    features = np.stack([np.array(score), np.array(margin)], axis=1).astype(np.float64)
    return _Shown(features, np.array(correct), np.array(query), np.array(present_), np.array(first))


def _measure(predicted: Floats, observed: npt.NDArray[np.bool_]) -> tuple[float, list[list[float]]]:
    """Expected calibration error, and (mean predicted, observed share, count) of each level that is not empty."""
    level = np.minimum((predicted * LEVELS).astype(int), LEVELS - 1)
    reliability = [
        [float(predicted[level == number].mean()), float(observed[level == number].mean()), float(count)]
        for number, count in enumerate(np.bincount(level, minlength=LEVELS))
        if count
    ]
    return float(sum(count * abs(mean - share) for mean, share, count in reliability) / len(level)), reliability


def _fit_logistic(features: Floats, labels: npt.NDArray[np.bool_], steps: int = 50) -> Floats:
    """Logistic regression by Newton's method; a small ridge penalty keeps the weights finite on separable data."""
    inputs = np.column_stack([features, np.ones(len(features))])
    # Platt's targets: as if there were one more sample of each class.
    positives = labels.sum()
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))
    weights, ridge = np.zeros(inputs.shape[1]), 1e-3
    for _ in range(steps):
        predicted = sigmoid(inputs @ weights)
        slope = inputs.T @ (predicted - targets) + ridge * weights
        curvature = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs + ridge * np.eye(len(weights))
        step = np.linalg.solve(curvature, slope)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _predict(features: Floats, weights: Floats) -> Floats:
    return sigmoid(features @ weights[:-1] + weights[-1])
