"""Confidence intervals of retrieval metrics, by resampling images."""

from __future__ import annotations

import torch
from torch import Tensor

from imtext.evaluation.definitions import RECALL_AT


def bootstrap_intervals(
    ranks: dict[str, Tensor], image_id: Tensor, caption_image_id: Tensor, samples: int = 2000, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Intervals that show how much each recall and MRR depends on the images in the gallery.

    Captions of one image are not independent. Whole images are therefore drawn with replacement, each with all its
    captions (the cluster bootstrap of Field & Welsh, 2007), and the interval lies between two percentiles of the
    draws. The gallery itself is not resampled.

    Args:
        ranks: by direction, as `retrieval_ranks` returns them; queries are captions if its name ends with ``t2i``.
        image_id: ``[I]``, all different.
        caption_image_id: ``[T]``.
        samples: number of draws. The random seed is fixed, so the same ranks give the same intervals.
        level: share of the draws between the two ends.

    Returns:
        For `t2i_r@1` and each other recall and MRR: (low, high).
    """
    order = image_id.argsort()
    column = order[torch.searchsorted(image_id[order], caption_image_id)].cpu()
    generator = torch.Generator().manual_seed(0)
    images = len(image_id)
    names, totals = [], []  # for each image, sums over its queries: their number, then their scores
    for direction, rank in ranks.items():
        owner = column if direction.endswith("t2i") else torch.arange(images)
        scores = {f"{direction}_r@{k}": rank.cpu() <= k for k in RECALL_AT} | {f"{direction}_mrr": 1 / rank.cpu()}
        for name, score in ({f"{direction}_queries": torch.ones(len(rank))} | scores).items():
            names.append(name)
            totals.append(torch.zeros(images).index_add_(0, owner, score.float()))
    stacked = torch.stack(totals)
    sums = torch.stack(
        [stacked[:, torch.randint(images, (images,), generator=generator)].sum(1) for _ in range(samples)]
    )
    drawn = dict(zip(names, sums.T, strict=True))
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2])
    intervals: dict[str, tuple[float, float]] = {}
    for direction in ranks:
        for name in (*(f"{direction}_r@{k}" for k in RECALL_AT), f"{direction}_mrr"):
            low, high = (drawn[name] / drawn[f"{direction}_queries"]).quantile(ends).tolist()
            intervals[name] = (low, high)
    return intervals
