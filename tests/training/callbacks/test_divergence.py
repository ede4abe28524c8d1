"""A run whose loss or weights are not finite ends as failed, with the checkpoints of the epochs before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from imtext.errors import DivergedError
from imtext.training.callbacks import LastCheckpoint, RunCheckpoint, StopWhenDiverged
from tests.training.callbacks.stubs import Tiny

NAN, INF = float("nan"), float("inf")


class Diverging(Tiny):
    """Its loss is multiplied by a factor, or its statistics are set to a value, in one step."""

    def __init__(self, step: int, loss: float = 1.0, statistics: float = 1.0) -> None:
        super().__init__()
        self.step, self.factor, self.statistics = step, loss, statistics
        self.norm = torch.nn.BatchNorm1d(1)
        self.register_buffer("mask", torch.tensor([-INF]))  # as in text towers
        self.steps_taken = 0

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.steps_taken += 1
        loss = super().training_step(batch, batch_idx) + self.norm.weight.sum()
        if self.steps_taken == self.step:
            self.norm.running_mean = torch.tensor([self.statistics])
            loss = loss * self.factor
        return loss


def fit(folder: Path, module: Diverging, **settings: Any) -> None:
    """Four batches per epoch, three epochs."""
    best = RunCheckpoint(
        str(folder), "best", monitor="train/loss", save_on_train_epoch_end=True, enable_version_counter=False
    )
    callbacks = [StopWhenDiverged("optim.lr", 0.01), best, LastCheckpoint(str(folder))]
    trainer = Trainer(
        accelerator="cpu", max_epochs=3, callbacks=callbacks, logger=False, default_root_dir=folder,
        enable_model_summary=False, enable_progress_bar=False,
        **{"log_every_n_steps": 100, "gradient_clip_val": 1.0, **settings},
    )  # fmt: skip
    trainer.fit(module, DataLoader(range(4)))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_loss_that_is_not_finite(tmp_path: Path, value: float) -> None:
    with pytest.raises(DivergedError) as error:
        fit(tmp_path, Diverging(6, loss=value))
    for part in (
        "The loss is not finite in step 6 (epoch 2): the training has diverged.",
        "Try optim.lr=0.001 instead of 0.01.",
        f"The checkpoints of the epochs before are usable: {tmp_path / 'best.ckpt'}, {tmp_path / 'last.ckpt'}",
    ):
        assert part in str(error.value)
    for name in ("best.ckpt", "last.ckpt"):
        content = torch.load(tmp_path / name, weights_only=True)
        assert content["epoch"] == 0
        assert content["state_dict"]["weight"].isfinite().all()


def test_a_run_stops_when_lightning_logs(tmp_path: Path) -> None:
    module = Diverging(1, loss=NAN)
    with pytest.raises(DivergedError, match=r"in step 1 \(epoch 1\).*No epoch was completed"):
        fit(tmp_path, module, log_every_n_steps=2)
    assert module.steps_taken == 2


def test_statistics_that_are_not_finite(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"weights norm\.running_mean are not finite after step 8 \(epoch 2\)"):
        fit(tmp_path, Diverging(5, statistics=INF))
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 0


def test_other_changes_are_named_where_they_can_help(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"clip_val=1\.0 or trainer\.precision=32-true instead of bf16-mixed"):
        fit(tmp_path, Diverging(1, loss=NAN), gradient_clip_val=None, precision="bf16-mixed")


def test_a_finite_run_is_left_alone(tmp_path: Path) -> None:
    fit(tmp_path, Diverging(0))
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 2
