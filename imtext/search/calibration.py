"""From a score to a relevance: how likely it is that a picture is the one a text describes.

Similarities mean nothing by themselves: 0.4 can be an excellent match for one model and nothing for another, and a
vague text lies close to everything. So on validation pairs a logistic regression learns

    P(relevant | score, margin) = sigmoid(a · score + b · margin + c),    margin = score − what is usual for this text,

from what people would have been shown: the best ten of galleries of 100 pictures, in half of which the picture that the
text was written for is missing (Platt, 1999).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

GALLERY, SHOWN, BINS = 100, 10, 10
KEPT = 0.9  # share of answerable queries whose best result must not be hidden
PRIOR_PICTURES = 20  # weight of validation's usual score beside that of the gallery at hand


@dataclass(frozen=True)
class Calibration:
    """What was learnt from validation.

    Attributes:
        score_weight: a.
        margin_weight: b.
        bias: c.
        usual_score: mean similarity of a text and a picture that do not belong together.
        min_relevance: below this nothing deserves to be shown. Nine of ten queries that have an answer in the gallery
            get a best result above it.
        refused: share of queries without an answer that get nothing above it.
        error: expected calibration error, on pictures that were not learnt from.
        reliability: of those, (mean predicted, observed share, how many) for ten levels of relevance.
    """

    score_weight: float
    margin_weight: float
    bias: float
    usual_score: float
    min_relevance: float
    refused: float
    error: float
    reliability: list[list[float]]

    def relevance(self, scores: Floats, gallery_mean: float, gallery_size: int) -> Floats:
        """Scores of one query → probabilities.

        Args:
            scores: of the results, any shape.
            gallery_mean: mean score of the query over the whole gallery.
            gallery_size: pictures in it. A handful says little about what is usual, so then validation counts too.
        """
        usual = (gallery_mean * gallery_size + self.usual_score * PRIOR_PICTURES) / (gallery_size + PRIOR_PICTURES)
        return _sigmoid(self.score_weight * scores + self.margin_weight * (scores - usual) + self.bias)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a manifest."""
        return asdict(self)


def calibrate(scores: Floats, answers: npt.NDArray[np.integer[Any]], seed: int = 0) -> Calibration:
    """Learn the relevance of validation pairs.

    Args:
        scores: ``[N, B]``, of every text with every picture.
        answers: ``[N]``, the picture each text was written for.
        seed: of the galleries.

    Raises:
        ValueError: fewer than 20 pictures.
    """
    pictures = scores.shape[1]
    if pictures < 20:
        raise ValueError(f"{pictures} validation pictures are too few to learn relevance from; it takes 20")
    rng = np.random.default_rng(seed)
    matching = scores[np.arange(len(answers)), answers]
    usual = float((scores.sum() - matching.sum()) / (scores.size - len(answers)))
    shown = _show(scores, answers, usual, rng)
    half = np.isin(answers, rng.permutation(pictures)[: pictures // 2])[shown.query]
    # The error is measured on pictures that the weights were not learnt from; the final weights see all.
    weights = _logistic(shown.features[half], shown.correct[half])
    predicted, observed = _sigmoid(_affine(shown.features[~half], weights)), shown.correct[~half]
    level = np.minimum((predicted * BINS).astype(int), BINS - 1)
    filled = [number for number in range(BINS) if (level == number).any()]
    reliability = [
        [float(predicted[level == n].mean()), float(observed[level == n].mean()), float((level == n).sum())]
        for n in filled
    ]
    error = sum(count * abs(mean - share) for mean, share, count in reliability) / len(level)
    weights = _logistic(shown.features, shown.correct)
    best = _sigmoid(_affine(shown.features[shown.best], weights))
    present = shown.present[shown.best]
    threshold = float(np.quantile(best[present], 1 - KEPT))
    score_weight, margin_weight, bias = map(float, weights)
    return Calibration(
        score_weight,
        margin_weight,
        bias,
        usual_score=usual,
        min_relevance=threshold,
        refused=float((best[~present] < threshold).mean()),
        error=float(error),
        reliability=reliability,
    )


@dataclass
class _Shown:
    features: Floats  # [R, 2]: score and margin
    correct: npt.NDArray[np.bool_]  # [R]
    query: npt.NDArray[np.int64]  # [R]
    present: npt.NDArray[np.bool_]  # [R]: is the query's picture in its gallery?
    best: npt.NDArray[np.bool_]  # [R]: the first result of its query


def _show(scores: Floats, answers: npt.NDArray[np.integer[Any]], usual: float, rng: np.random.Generator) -> _Shown:
    """Search galleries drawn at random."""
    texts, pictures = scores.shape
    size = min(GALLERY, pictures - 1)
    columns: list[tuple[Any, ...]] = []
    for text in range(texts):
        gallery = rng.choice(pictures - 1, size, replace=False)
        gallery += gallery >= answers[text]  # anything but the answer
        present = bool(rng.random() < 0.5)
        if present:
            gallery[0] = answers[text]
        row = scores[text, gallery]
        best = np.argsort(-row, kind="stable")[:SHOWN]
        typical = (row.sum() + usual * PRIOR_PICTURES) / (size + PRIOR_PICTURES)
        columns += [
            (row[one], row[one] - typical, gallery[one] == answers[text], text, present, place == 0)
            for place, one in enumerate(best)
        ]
    score, margin, correct, query, present_, first = zip(*columns, strict=True)
    features = np.stack([np.array(score), np.array(margin)], axis=1).astype(np.float64)
    return _Shown(features, np.array(correct), np.array(query), np.array(present_), np.array(first))


def _logistic(features: Floats, labels: npt.NDArray[np.bool_], steps: int = 50) -> Floats:
    """Logistic regression by Newton's method, with a trace of ridge for data that a line separates."""
    inputs = np.column_stack([features, np.ones(len(features))])
    # Platt's targets: as if one more of each kind had been seen.
    positives = labels.sum()
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))
    weights, ridge = np.zeros(inputs.shape[1]), 1e-3
    for _ in range(steps):
        predicted = _sigmoid(inputs @ weights)
        slope = inputs.T @ (predicted - targets) + ridge * weights
        curvature = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs + ridge * np.eye(len(weights))
        step = np.linalg.solve(curvature, slope)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _affine(features: Floats, weights: Floats) -> Floats:
    return np.asarray(features @ weights[:-1] + weights[-1])


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64))))
