"""Several losses at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.losses.base import Loss, total_loss
from imtext.losses.targets import Targets


class WeightedSum(Loss):
    """A weighted sum of losses on the same embeddings.

    Args:
        losses: losses by name; null leaves one out. Names are free.
        weights: weight of each loss by its name, above 0; 1 if it is not named.

    Raises:
        ConfigError: there is no loss, a weight without a loss, or a weight that is not above 0.
    """

    def __init__(self, losses: Mapping[str, Loss | None], weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        weights = weights or {}
        if unknown := sorted(weights.keys() - losses.keys()):
            raise ConfigError(
                f"loss.weights.{unknown[0]}={weights[unknown[0]]}: there is no loss of this name. "
                f"loss.losses has {', '.join(losses) or 'none'}"
            )
        used = {name: loss for name, loss in losses.items() if loss is not None}
        if not used:
            raise ConfigError("loss.losses names no loss to be added up")
        self.weights = {name: float(weights.get(name, 1)) for name in used}
        for name, weight in self.weights.items():
            if not weight > 0:
                raise ConfigError(
                    f"loss.weights.{name} must be above zero, not {weight:g}. Without it: loss.losses.{name}=null"
                )
        self.losses = nn.ModuleDict(used)
        self.uses_logit_scale = any(loss.uses_logit_scale for loss in used.values())

    def forward(
        self, image_embeddings: Tensor, text_embeddings: Tensor, targets: Targets, logit_scale: Tensor
    ) -> dict[str, Tensor]:
        """Compute one term for each loss, called ``<name>_loss``: its weight times all its terms."""
        given = image_embeddings, text_embeddings, targets, logit_scale
        return {f"{name}_loss": self.weights[name] * total_loss(loss(*given)) for name, loss in self._each()}

    def chance(self, targets: Targets) -> Tensor:
        """The weighted sum of the chance levels."""
        return torch.stack([self.weights[name] * loss.chance(targets) for name, loss in self._each()]).sum()

    def advance(self, done: float) -> None:
        """Tell every loss."""
        for _, loss in self._each():
            loss.advance(done)

    def clamp(self) -> None:
        """Keep the parameters of every loss in their bounds."""
        for _, loss in self._each():
            loss.clamp()

    def _each(self) -> list[tuple[str, Loss]]:
        return [(name, loss) for name, loss in self.losses.items() if isinstance(loss, Loss)]
