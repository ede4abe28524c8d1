"""The base class of all losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from imtext.losses.targets import Targets


class Loss(nn.Module, ABC):
    """A loss over a batch of distinct images and one or more captions of each.

    A loss may have parameters. They are optimised with the model, at the learning rate of the projections, and saved
    in checkpoints.

    Attributes:
        uses_logit_scale: whether the loss divides similarities by the temperature. If not, the model's temperature
            is frozen, because it would get no gradient.
    """

    uses_logit_scale: bool = True

    @abstractmethod
    def forward(
        self, image_embeddings: Tensor, text_embeddings: Tensor, targets: Targets, logit_scale: Tensor
    ) -> dict[str, Tensor]:
        """Compute the terms of the loss; `total_loss` adds them up.

        Args:
            image_embeddings: ``[B, D]`` of unit length.
            text_embeddings: ``[N, D]`` of unit length.
            targets: of these images and captions.
            logit_scale: scalar, the logarithm of one over the temperature.

        Returns:
            Scalars by name, weighted. With more than one, each is logged as ``train/<name>``.
        """

    def chance(self, targets: Targets) -> Tensor:
        """The chance level: the loss of a model that finds everything equally similar. Training must get below it.

        The default is computed from equal embeddings. Override it if that is not the chance level of the loss.

        Args:
            targets: of B images and N captions.
        """
        images, captions = targets.positive.shape
        same = torch.ones(1, 1, device=targets.positive.device)
        scale = torch.zeros((), device=targets.positive.device)
        return total_loss(self(same.expand(images, 1), same.expand(captions, 1), targets, scale))

    def advance(self, done: float) -> None:
        """Called before every training step, for a loss that changes during training. By default nothing changes.

        Args:
            done: share of the training's steps that are finished, from 0 to below 1.
        """

    def clamp(self) -> None:
        """Keep the parameters in their bounds; called after every optimizer step. By default there are no bounds."""


class PairwiseLoss(Loss):
    """A loss that is a sum over images and a mean over captions, of terms that each depend on one pair only.

    The loss of a batch is then that of its parts, weighted by their captions, so that processes that train together
    need not hold all pairs at once: see `imtext.training.ring`.
    """

    @abstractmethod
    def chance_at(self, share: Tensor, images: int) -> Tensor:
        """The chance level of a batch.

        Args:
            share: scalar, the share of pairs that match.
            images: number of images.
        """

    def chance(self, targets: Targets) -> Tensor:
        """The chance level follows from the number of images and the share of pairs that match."""
        return self.chance_at(targets.positive.float().mean(), len(targets.positive))


def total_loss(terms: Mapping[str, Tensor]) -> Tensor:
    """The sum of all terms. Training minimises it."""
    return torch.stack(list(terms.values())).sum()
