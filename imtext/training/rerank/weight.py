"""The one number that is fitted after training: how much a re-ranker's judgement counts beside the similarity.

A dual encoder has seen the training captions, and is far better on them than on new ones. A re-ranker that were trained
with the similarity would learn to trust it too much. So it is trained without, and the weight is fitted on validation,
like the calibration of relevance.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from imtext.evaluation.reranking import Shortlists

# Relative to the weight at which judgement and similarity differ equally among the pictures of a caption.
STEPS = [0.0, *np.geomspace(1 / 32, 32, 61).tolist()]


def fit_weight(lists: Shortlists, judgement: Tensor) -> float:
    """The weight with the best MRR of the order by ``similarity + weight · judgement``; the smallest of equal ones.

    A grid search over a single number, 0 (the order of the dual encoder) included.

    Args:
        lists: shortlists of validation captions.
        judgement: ``[T, K]``, result of `SecondLook.judgement`.
    """
    unit = float(lists.similarity.std(dim=1).mean() / judgement.std(dim=1).mean())
    if not np.isfinite(unit):  # the judgement is constant, or undefined
        return 0.0
    weights: list[float] = [step * unit for step in STEPS]
    mrr: list[float] = [(1 / lists.reranked(lists.similarity + weight * judgement)).mean().item() for weight in weights]
    return weights[int(np.argmax(mrr))]  # the first of equal ones
