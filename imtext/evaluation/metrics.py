"""Retrieval metrics in both directions, for any number of captions per image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from imtext.evaluation.spread import spread

RECALL_AT = (1, 5, 10)
OF_EACH_DIRECTION = (*(f"r@{k}" for k in RECALL_AT), "mrr", "median_rank", "mean_rank")
OF_BOTH = (
    "rsum",
    "positive_similarity",
    "negative_similarity",
    "image_spread",
    "text_spread",
    "num_images",
    "num_captions",
)
FIGURES = (*(f"{direction}_{name}" for direction in ("t2i", "i2t") for name in OF_EACH_DIRECTION), *OF_BOTH)
SCORES = 2**20  # scores held at a time (4 MiB), whatever the number of queries and the size of the gallery


class RetrievalMetrics(Metric):
    """Recall@K, MRR and ranks of text-to-image (t2i) and image-to-text (i2t) search.

    - **R@K**: share of queries with at least one correct item among the first K.
    - t2i: each caption is a query, the images are the gallery, one is correct.
    - i2t: each image is a query, the captions are the gallery, all its own are correct.
    - **MRR**: mean of 1 / rank of the *first* correct item. Ranks start at 1; ties count against the model,
      so equal or undefined scores never look like success.
    - **rsum**: sum of the six recalls (0 … 6; papers print it times 100), what the best checkpoint is chosen by.

    An image that appears twice with its captions (a sampler that pads, say) counts once.
    """

    full_state_update = False
    image_embeddings: list[Tensor]
    text_embeddings: list[Tensor]
    image_id: list[Tensor]
    caption_image_id: list[Tensor]
    caption_number: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for state in ("image_embeddings", "text_embeddings", "image_id", "caption_image_id", "caption_number"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(
        self, image_embeddings: Tensor, text_embeddings: Tensor, image_id: Tensor, caption_image_id: Tensor
    ) -> None:
        """Add B images ``[B, D]`` and N captions ``[N, D]`` of unit length with the ids ``[B]`` and ``[N]``."""
        self.image_embeddings.append(image_embeddings.float())
        self.text_embeddings.append(text_embeddings.float())
        self.image_id.append(image_id)
        self.caption_image_id.append(caption_image_id)
        self.caption_number.append(_number_within(caption_image_id.cpu()).to(caption_image_id.device))

    def gathered(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Everything added so far, each image and caption once: images, texts, image ids, caption image ids."""
        images, image_id = dim_zero_cat(self.image_embeddings), dim_zero_cat(self.image_id).cpu()
        texts, caption_image_id = dim_zero_cat(self.text_embeddings), dim_zero_cat(self.caption_image_id).cpu()
        number = dim_zero_cat(self.caption_number).cpu()
        # Sorting and scattering integers is a matter for the CPU: MPS has no stable or integer version everywhere.
        image = _first_of_each(image_id)
        caption = _first_of_each(caption_image_id * (number.max() + 1) + number)
        device = images.device
        return (
            images[image.to(device)],
            texts[caption.to(device)],
            image_id[image].to(device),
            caption_image_id[caption].to(device),
        )

    def compute(self) -> dict[str, float]:
        """All figures by name; recalls and MRR between 0 and 1."""
        images, texts, image_id, caption_image_id = self.gathered()
        ranks = retrieval_ranks(images, texts, image_id, caption_image_id)
        figures: dict[str, float] = {}
        for direction, rank in ranks.items():
            for k in RECALL_AT:
                figures[f"{direction}_r@{k}"] = (rank <= k).float().mean().item()
            figures[f"{direction}_mrr"] = (1 / rank).mean().item()
            figures[f"{direction}_median_rank"] = rank.float().median().item()
            figures[f"{direction}_mean_rank"] = rank.float().mean().item()
        figures["rsum"] = sum(figures[f"{direction}_r@{k}"] for direction in ranks for k in RECALL_AT)
        figures |= similarity_statistics(images, texts, image_id, caption_image_id)
        return figures | {"num_images": float(len(images)), "num_captions": float(len(texts))}

    def intervals(self) -> dict[str, float]:
        """`bootstrap_intervals` by name, such as `t2i_r@10_low` and `t2i_r@10_high`."""
        images, texts, image_id, caption_image_id = self.gathered()
        ranks = retrieval_ranks(images, texts, image_id, caption_image_id)
        found = bootstrap_intervals(ranks, image_id, caption_image_id)
        return {
            f"{name}_{end}": value
            for name, ends in found.items()
            for end, value in zip(("low", "high"), ends, strict=True)
        }


def retrieval_ranks(
    images: Tensor, texts: Tensor, image_id: Tensor, caption_image_id: Tensor, scores: int = SCORES
) -> dict[str, Tensor]:
    """Rank of the first correct item for every query.

    Args:
        images: ``[I, D]``, each image once.
        texts: ``[T, D]``.
        image_id: ``[I]``, all different.
        caption_image_id: ``[T]``, each also in `image_id`.
        scores: how many scores to hold at a time; the result does not depend on it.

    Returns:
        `t2i` ``[T]`` and `i2t` ``[I]``, int64, 1 for a perfect answer.
    """
    return {
        "t2i": _ranks(texts, images, caption_image_id, image_id, scores),
        "i2t": _ranks(images, texts, image_id, caption_image_id, scores),
    }


def _ranks(queries: Tensor, gallery: Tensor, query_id: Tensor, gallery_id: Tensor, scores: int) -> Tensor:
    """``[Q, D]`` and ``[G, D]`` → ``[Q]`` ranks; items of the query's id are correct."""
    # Filled in place: small results allocated between large temporaries keep the C library from reusing these.
    ranks = torch.empty(len(queries), dtype=torch.int64, device=queries.device)
    step = max(1, scores // len(gallery))
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        score, correct = queries[rows] @ gallery.T, query_id[rows, None] == gallery_id[None, :]
        best = score.masked_fill(~correct, -torch.inf).amax(dim=1, keepdim=True)
        # "Not below" instead of "above or equal": a NaN is never below, so it counts against the model.
        ahead = ~(score < best) & ~correct
        ranks[rows] = ahead.sum(dim=1) + 1
    return ranks


def bootstrap_intervals(
    ranks: dict[str, Tensor], image_id: Tensor, caption_image_id: Tensor, samples: int = 2000, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """How far each recall and MRR might lie from its value because of the images that happen to be in the gallery.

    The five captions of an image stand and fall together, so images are drawn, with all their captions: the cluster
    bootstrap (Field & Welsh, 2007), percentiles of `samples` draws with replacement. The gallery stays as it is.

    Args:
        ranks: of `retrieval_ranks`.
        image_id: ``[I]``, all different.
        caption_image_id: ``[T]``.
        samples: number of draws; always the same ones.
        level: share of the draws between the two ends.

    Returns:
        `t2i_r@1` … → (low, high).
    """
    order = image_id.argsort()
    column = order[torch.searchsorted(image_id[order], caption_image_id)].cpu()
    generator = torch.Generator().manual_seed(0)
    images = len(image_id)
    names, totals = [], []  # sums over the queries of each image: their number, then their scores
    for direction, rank in ranks.items():
        owner = column if direction == "t2i" else torch.arange(images)
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
    for name in names:
        if not name.endswith("_queries"):
            low, high = (drawn[name] / drawn[f"{name[:3]}_queries"]).quantile(ends).tolist()
            intervals[name] = (low, high)
    return intervals


def similarity_statistics(
    images: Tensor, texts: Tensor, image_id: Tensor, caption_image_id: Tensor
) -> dict[str, float]:
    """Mean similarity of matching and other pairs, and how far the embeddings lie apart."""
    column = torch.searchsorted(image_id.cpu(), caption_image_id.cpu()).to(images.device)  # image ids ascend
    matching = (images[column] * texts).sum(dim=1)
    # The mean over all pairs is the product of the means: no matrix is needed.
    everything = float(images.mean(dim=0) @ texts.mean(dim=0)) * len(images) * len(texts)
    others = len(images) * len(texts) - len(texts)
    return {
        "positive_similarity": matching.mean().item(),
        "negative_similarity": (everything - matching.sum().item()) / max(others, 1),
        "image_spread": spread(images).item(),
        "text_spread": spread(texts).item(),
    }


def _first_of_each(ids: Tensor) -> Tensor:
    """Where each different id of ``[n]`` occurs first, in ascending order of the ids."""
    unique, inverse = torch.unique(ids, return_inverse=True)
    first = torch.full_like(unique, len(ids))
    return first.scatter_reduce(0, inverse, torch.arange(len(ids), device=ids.device), reduce="amin")


def _number_within(owner: Tensor) -> Tensor:
    """0, 1, 2 … for the captions of each image: ``[7, 7, 9, 7] → [0, 1, 0, 2]``."""
    order = owner.argsort(stable=True)
    ordered = owner[order]
    position = torch.arange(len(owner), device=owner.device)
    return torch.empty_like(position).scatter(0, order, position - torch.searchsorted(ordered, ordered))
