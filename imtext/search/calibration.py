"""From a score to a relevance: the probability that a picture is what a text describes.

Similarities are not comparable between models: 0.4 can be an excellent match for one and meaningless for another.
A vague text is similar to everything. Therefore

    P(relevant | score, margin) = sigmoid(a · score + b · margin + c),    margin = score − usual score of the query,

where `imtext.evaluation.calibration` fits the weights on validation pairs and the bundle stores them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

PRIOR_PICTURES = 20  # weight of the validation set's usual score, in pictures of the gallery


@dataclass(frozen=True)
class Calibration:
    """Weights of the calibration, and measurements of its quality.

    Attributes:
        score_weight: the weight a.
        margin_weight: the weight b.
        bias: the weight c.
        usual_score: mean similarity of a text and a picture that do not belong together.
        min_relevance: results below it should not be shown. Nine of ten queries with an answer in the gallery have a
            best result above it.
        refused: share of queries without an answer in the gallery that have no result above `min_relevance`.
        error: expected calibration error, on pictures that the weights were not fitted to.
        reliability: (mean predicted, observed share, count) for up to ten levels of relevance, on the same pictures.
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
            scores: any shape.
            gallery_mean: mean score of the query over the whole gallery.
            gallery_size: number of pictures in the gallery. In a small gallery the usual score of the validation set
                counts more.

        Returns:
            The same shape, 0 … 1.
        """
        usual = (gallery_mean * gallery_size + self.usual_score * PRIOR_PICTURES) / (gallery_size + PRIOR_PICTURES)
        return sigmoid(self.score_weight * scores + self.margin_weight * (scores - usual) + self.bias)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a manifest."""
        return asdict(self)


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(−x)), in double precision and without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64))))
