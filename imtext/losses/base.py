"""The base class of all losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Loss(nn.Module, ABC):
    """A loss over a batch of distinct images and one or more captions of each.

    A loss may have parameters. They are optimised with the model, at the learning rate of the projections, and saved
    in checkpoints.
    """

    @abstractmethod
    def forward(
        self,
        image_embeddings: Tensor,
        text_embeddings: Tensor,
        image_id: Tensor,
        caption_image_id: Tensor,
        logit_scale: Tensor,
    ) -> dict[str, Tensor]:
        """Compute the terms of the loss; `total_loss` adds them up.

        Args:
            image_embeddings: ``[B, D]`` of unit length.
            text_embeddings: ``[N, D]`` of unit length.
            image_id: ``[B]`` int64.
            caption_image_id: ``[N]`` int64, each also in `image_id`.
            logit_scale: scalar, the logarithm of one over the temperature.

        Returns:
            Scalars by name, weighted. With more than one, each is logged as ``train/<name>``.
        """

    def chance(self, image_id: Tensor, caption_image_id: Tensor) -> Tensor:
        """The chance level: the loss of a model that finds everything equally similar. Training must get below it.

        The default is computed from equal embeddings. Override it if that is not the chance level of the loss.

        Args:
            image_id: ``[B]`` int64.
            caption_image_id: ``[N]`` int64.
        """
        same = torch.ones(1, 1, device=image_id.device)
        terms = self(
            same.expand(len(image_id), 1),
            same.expand(len(caption_image_id), 1),
            image_id,
            caption_image_id,
            torch.zeros((), device=image_id.device),
        )
        return total_loss(terms)

    def clamp(self) -> None:
        """Keep the parameters in their bounds; called after every optimizer step. By default there are no bounds."""


def total_loss(terms: Mapping[str, Tensor]) -> Tensor:
    """The sum of all terms. Training minimises it."""
    return torch.stack(list(terms.values())).sum()
