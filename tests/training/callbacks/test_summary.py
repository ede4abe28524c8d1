"""The line per epoch, and the history behind the curves."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from imtext.training.callbacks import EpochSummary
from tests.training.callbacks.stubs import trainer

TRAIN = {"train/loss_epoch": 2.0, "train/chance_loss": 4.3, "train/temperature": 0.07}
VAL = {"val/t2i_r@10": 0.25, "val/i2t_r@10": 0.5, "val/rsum": 1.5, "val/loss": 2.5}


def run_epoch(summary: EpochSummary, epoch: int, validated: bool) -> None:
    state = trainer("whole", epoch=epoch, callback_metrics=TRAIN | VAL)  # Lightning keeps metrics of earlier epochs
    summary.on_train_epoch_start(state, state.lightning_module)
    if validated:
        summary.on_validation_end(state, state.lightning_module)
    summary.on_train_epoch_end(state, state.lightning_module)


def test_validation_is_shown_only_in_epochs_that_have_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    summary = EpochSummary()
    run_epoch(summary, 0, validated=False)
    run_epoch(summary, 1, validated=True)
    first, second = (record.getMessage() for record in caplog.records)
    assert first == "epoch 1/4  loss 2.000 (chance 4.30)  temperature 0.070  0 s"
    assert "val R@10: text→image 25.0 %, image→text 50.0 %  rsum 150" in second
    assert [("val/rsum" in metrics, metrics["epoch"]) for metrics in summary.history] == [(False, 1), (True, 2)]


def test_history_is_saved_and_drawn(tmp_path: Path) -> None:
    summary, resumed = EpochSummary(), EpochSummary()
    run_epoch(summary, 0, validated=True)
    resumed.load_state_dict(summary.state_dict())
    run_epoch(resumed, 1, validated=True)
    assert [metrics["epoch"] for metrics in resumed.history] == [1, 2]
    resumed.draw(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5_000
