"""Warnings about runs that do not learn."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from lightning.pytorch import Callback, LightningModule, Trainer

log = logging.getLogger(__name__)


class Diagnosis(Callback):
    """Warns once when the loss is at chance level, or when the embeddings have collapsed.

    Args:
        at_chance: warn if the loss is above this share of the chance level.
        collapsed: warn if the spread of the embeddings (0 to 1) is below this.
        after_steps: number of steps before the first check. Checks are made after each epoch, and at the end of the
            run even if it is shorter.
    """

    def __init__(self, at_chance: float = 0.98, collapsed: float = 0.02, after_steps: int = 50) -> None:
        self.at_chance, self.collapsed, self.after_steps = at_chance, collapsed, after_steps
        self._warned: set[str] = set()
        self._last: dict[str, float] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the metrics of the epoch."""
        self._last = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if trainer.global_step >= self.after_steps:
            self.check(self._last)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check a run that was too short for an earlier check."""
        if self._last and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.check(self._last)

    def check(self, metrics: Mapping[str, float]) -> None:
        """Warn about a run that does not learn.

        Args:
            metrics: metrics of the training epoch: `train/loss_epoch`, `train/chance_loss`, `train/image_spread` and
                `train/text_spread`.
        """
        loss, chance = metrics.get("train/loss_epoch", math.nan), metrics.get("train/chance_loss", math.nan)
        if loss > self.at_chance * chance:
            self._warn(
                "The loss (%.3f) is at chance level (%.3f): nothing has been learnt. "
                "If it stays there, check that the captions belong to their pictures, and try another optim.lr.",
                loss,
                chance,
            )
        for side in ("image", "text"):
            spread = max(0.0, metrics.get(f"train/{side}_spread", 1.0))
            if spread < self.collapsed:
                self._warn(
                    f"All {side} embeddings are nearly equal (spread %.4f of 1): the {side} tower has collapsed. "
                    "Try a smaller optim.lr or a longer optim.warmup.",
                    spread,
                )

    def _warn(self, message: str, *values: float) -> None:
        """Log a warning unless it has been logged in this run."""
        if message not in self._warned:
            self._warned.add(message)
            log.warning(message, *values)
