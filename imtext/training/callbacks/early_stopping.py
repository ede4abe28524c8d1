"""Early stopping that survives a resume."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping


class StopEarly(EarlyStopping):
    """An `EarlyStopping` that stays stopped on resume, unless it is given more patience.

    It takes the arguments of `EarlyStopping`.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state on resume, but use the patience of the current configuration."""
        super().load_state_dict(state_dict | {"patience": self.patience})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do not begin another epoch if the patience was used up before the resume."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True
