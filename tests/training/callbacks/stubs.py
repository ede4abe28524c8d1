"""Stub trainers and modules for callbacks, and a real module that trains in milliseconds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from imtext.training.module import RetrievalModule
from imtext.training.stages import Plan, Stage


def module(*stages: str) -> RetrievalModule:
    """A module with stages of one epoch each, and nothing to train."""
    made = RetrievalModule.__new__(RetrievalModule)
    made.__dict__["plan"] = Plan({name: Stage(after_epochs=at) for at, name in enumerate(stages)}, 0, 0)
    return made


def trainer(*stages: str, epoch: int = 0, **values: Any) -> Any:
    """A trainer in an epoch of four."""
    return SimpleNamespace(lightning_module=module(*stages), current_epoch=epoch, max_epochs=4, **values)


class Tiny(LightningModule):
    """One number that grows."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = -self.weight.sum()
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1)


def fit(folder: Path, epochs: int, *callbacks: Callback) -> Trainer:
    """Train `Tiny` on two batches per epoch."""
    made = Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=list(callbacks), logger=False, default_root_dir=folder,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    made.fit(Tiny(), DataLoader([0, 1]))  # type: ignore[arg-type]
    return made
