"""The metrics of a retrieval evaluation: their names, and how each is computed from ranks or embeddings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

DIRECTIONS = ("t2i", "i2t")
RECALL_AT = (1, 5, 10)
EQUAL = "_equal"  # ends the names of metrics that count equal captions as right


def recall_at(ranks: Tensor, k: int) -> float:
    """Share of the ranks ``[Q]`` that are at most k."""
    return (ranks <= k).float().mean().item()


# Metrics of one direction, computed from its ranks.
RANK_METRICS: dict[str, Callable[[Tensor], float]] = {
    **{f"r@{k}": partial(recall_at, k=k) for k in RECALL_AT},
    "mrr": lambda ranks: (1 / ranks).mean().item(),
    "median_rank": lambda ranks: ranks.float().median().item(),
    "mean_rank": lambda ranks: ranks.float().mean().item(),
}
# Metrics of both directions together and of the embeddings.
COMMON_METRICS = (
    "rsum",
    "positive_similarity",
    "negative_similarity",
    "image_spread",
    "text_spread",
    "num_images",
    "num_captions",
)


def metric_names() -> list[str]:
    """The names of all metrics that `retrieval_metrics` returns, in the same order."""
    return [*(f"{direction}_{name}" for direction in DIRECTIONS for name in RANK_METRICS), *COMMON_METRICS]


def retrieval_metrics(
    ranks: dict[str, Tensor], images: Tensor, texts: Tensor, image_id: Tensor, caption_image_id: Tensor
) -> dict[str, float]:
    """All metrics by name; recalls and MRR are fractions.

    Args:
        ranks: result of `retrieval_ranks`.
        images: ``[I, D]`` of unit length, in ascending order of their ids.
        texts: ``[T, D]`` of unit length.
        image_id: ``[I]``, ascending.
        caption_image_id: ``[T]``, each also in `image_id`.
    """
    metrics = _of_ranks(ranks)
    metrics |= similarity_metrics(images, texts, image_id, caption_image_id)
    metrics |= {"num_images": float(len(images)), "num_captions": float(len(texts))}
    return {name: metrics[name] for name in metric_names()}


def equal_text_metrics(ranks: dict[str, Tensor]) -> dict[str, float]:
    """The metrics of ranks again, counting equal captions as right, as `t2i_r@1_equal` and the like.

    They are only measured if different images have captions of equal text.

    Args:
        ranks: result of `equal_text_ranks`.
    """
    return {f"{name}{EQUAL}": value for name, value in _of_ranks(ranks).items()}


def _of_ranks(ranks: dict[str, Tensor]) -> dict[str, float]:
    """The metrics of both directions, and the sum of their recalls."""
    metrics = {
        f"{direction}_{name}": metric(ranks[direction])
        for direction in DIRECTIONS
        for name, metric in RANK_METRICS.items()
    }
    metrics["rsum"] = sum(metrics[f"{direction}_r@{k}"] for direction in DIRECTIONS for k in RECALL_AT)
    return metrics


def similarity_metrics(images: Tensor, texts: Tensor, image_id: Tensor, caption_image_id: Tensor) -> dict[str, float]:
    """Mean similarity of matching and of other pairs, and the spread of the embeddings.

    Args:
        images: ``[I, D]`` of unit length.
        texts: ``[T, D]`` of unit length.
        image_id: ``[I]``, ascending.
        caption_image_id: ``[T]``, each also in `image_id`.
    """
    column = torch.searchsorted(image_id.cpu(), caption_image_id.cpu()).to(images.device)
    matching = (images[column] * texts).sum(dim=1)
    # The mean over all pairs is the product of the means, so no matrix is needed.
    everything = float(images.mean(dim=0) @ texts.mean(dim=0)) * len(images) * len(texts)
    others = len(images) * len(texts) - len(texts)
    return {
        "positive_similarity": matching.mean().item(),
        "negative_similarity": (everything - matching.sum().item()) / max(others, 1),
        "image_spread": spread(images).item(),
        "text_spread": spread(texts).item(),
    }


def spread(embeddings: Tensor) -> Tensor:
    """``1 - |mean|²`` of embeddings ``[N, D]`` of unit length: 0 if all are equal, near 1 if they are spread out."""
    return 1 - embeddings.mean(dim=0).square().sum()
