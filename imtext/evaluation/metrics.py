"""Retrieval metrics in both directions, for any number of captions per image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from imtext.evaluation.bootstrap import bootstrap_intervals
from imtext.evaluation.definitions import EQUAL, equal_text_metrics, retrieval_metrics
from imtext.evaluation.ranks import equal_text_ranks, retrieval_ranks


class RetrievalMetrics(Metric):
    """Recall@K, MRR and ranks of text-to-image (t2i) and image-to-text (i2t) search.

    - **R@K**: share of queries with at least one correct item among the first K.
    - t2i: each caption is a query, the images are the gallery, one of them is correct.
    - i2t: each image is a query, the captions are the gallery, all captions of the image are correct.
    - **MRR**: mean of 1 / rank of the *first* correct item. Ranks start at 1; ties count against the model.
    - **rsum**: sum of the six recalls, between 0 and 6 (papers multiply it by 100). The best checkpoint has the
      highest rsum.

    If several images have captions of the same text, all metrics of ranks are computed a second time, counting equal
    captions as right; the names of these end with `_equal`.

    An image that was added twice, for example by a sampler that pads the last batch, counts once.
    """

    full_state_update = False
    image_embeddings: list[Tensor]
    text_embeddings: list[Tensor]
    image_id: list[Tensor]
    caption_image_id: list[Tensor]
    caption_text_id: list[Tensor]
    caption_number: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        of_captions = ("text_embeddings", "caption_image_id", "caption_text_id", "caption_number")
        for state in ("image_embeddings", "image_id", *of_captions):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(
        self,
        image_embeddings: Tensor,
        text_embeddings: Tensor,
        image_id: Tensor,
        caption_image_id: Tensor,
        caption_text_id: Tensor | None = None,
    ) -> None:
        """Add B images ``[B, D]`` and N captions ``[N, D]`` of unit length with their ids ``[B]`` and ``[N]``.

        `caption_text_id` ``[N]`` is equal for captions of equal text, and -1 for texts of one image; None is all -1.
        """
        self.image_embeddings.append(image_embeddings.float())
        self.text_embeddings.append(text_embeddings.float())
        self.image_id.append(image_id)
        self.caption_image_id.append(caption_image_id)
        self.caption_text_id.append(
            torch.full_like(caption_image_id, -1) if caption_text_id is None else caption_text_id
        )
        self.caption_number.append(_number_within(caption_image_id.cpu()).to(caption_image_id.device))

    def gathered(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Everything added so far, each image and caption once, in ascending order of the image ids.

        Returns:
            Images ``[I, D]``, captions ``[T, D]``, image ids ``[I]`` and the captions' image ids ``[T]``.
        """
        images, image_id = dim_zero_cat(self.image_embeddings), dim_zero_cat(self.image_id)
        texts, caption_image_id = dim_zero_cat(self.text_embeddings), dim_zero_cat(self.caption_image_id)
        image, caption = _first_of_each(image_id.cpu()).to(images.device), self._captions()
        return images[image], texts[caption], image_id[image], caption_image_id[caption]

    def _captions(self) -> Tensor:
        """The position of each caption, once and in the order of `gathered`."""
        owner, number = dim_zero_cat(self.caption_image_id), dim_zero_cat(self.caption_number).cpu()
        # On the CPU: not every version of MPS can sort integers stably or scatter them.
        return _first_of_each(owner.cpu() * (number.max() + 1) + number).to(owner.device)

    def ranks(self) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
        """The results of `retrieval_ranks` and of `equal_text_ranks`."""
        gathered = self.gathered()
        ranks, text_id = retrieval_ranks(*gathered), dim_zero_cat(self.caption_text_id)[self._captions()]
        return ranks, equal_text_ranks(ranks, *gathered, text_id)

    def compute(self) -> dict[str, float]:
        """All metrics of `metric_names`, and those of `equal_text_metrics` if there are any; recalls are fractions."""
        ranks, equal = self.ranks()
        values = retrieval_metrics(ranks, *self.gathered())
        return values if equal is None else values | equal_text_metrics(equal)

    def intervals(self) -> dict[str, float]:
        """The ends of `bootstrap_intervals` by name, such as `t2i_r@10_low` and `t2i_r@10_high`."""
        _, _, image_id, caption_image_id = self.gathered()
        ranks, equal = self.ranks()
        found = bootstrap_intervals(ranks, image_id, caption_image_id)
        if equal is not None:
            again = bootstrap_intervals(equal, image_id, caption_image_id)
            found |= {f"{name}{EQUAL}": ends for name, ends in again.items()}
        return {
            f"{name}_{end}": value
            for name, ends in found.items()
            for end, value in zip(("low", "high"), ends, strict=True)
        }


def _first_of_each(ids: Tensor) -> Tensor:
    """The position at which each different id of ``[n]`` occurs first, in ascending order of the ids."""
    unique, inverse = torch.unique(ids, return_inverse=True)
    first = torch.full_like(unique, len(ids))
    return first.scatter_reduce(0, inverse, torch.arange(len(ids), device=ids.device), reduce="amin")


def _number_within(owner: Tensor) -> Tensor:
    """Number the captions of each image from 0: ``[7, 7, 9, 7] → [0, 1, 0, 2]``."""
    order = owner.argsort(stable=True)
    ordered = owner[order]
    position = torch.arange(len(owner), device=owner.device)
    return torch.empty_like(position).scatter(0, order, position - torch.searchsorted(ordered, ordered))
