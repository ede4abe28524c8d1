"""Short runs for the tests of training: settings, an interruption and comparisons of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from imtext.training.checkpoints import read_checkpoint
from tests.conftest import TINY_SHAPES

QUICK = [*TINY_SHAPES, "logger=none", "callbacks.examples=null", "baseline=false"]
INTERRUPT = "+callbacks.interrupt._target_=tests.runs.Interrupt"


class Interrupt(Callback):
    """Raises in the middle of an epoch, as if the process had been killed."""

    epoch: ClassVar[int] = 0
    batch: ClassVar[int] = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.current_epoch == self.epoch and batch_idx == self.batch:
            raise RuntimeError("interrupted")


def interrupt_at(monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int) -> None:
    """Choose where runs with `INTERRUPT` stop."""
    monkeypatch.setattr(Interrupt, "epoch", epoch)
    monkeypatch.setattr(Interrupt, "batch", batch)
    monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "tests")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights in the last checkpoint of a run's folder."""
    found: dict[str, torch.Tensor] = read_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]
    return found


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


def without_time(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name != "seconds"}
