"""Warnings in plain words."""

from __future__ import annotations

import pytest

from imtext.training.callbacks import EpochSummary

HEALTHY = {"train/loss_epoch": 2.0, "train/chance_loss": 4.3, "train/image_spread": 0.9, "train/text_spread": 0.9}


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"train/loss_epoch": 4.29}, "guessing"),
        ({"train/loss_epoch": float("nan")}, "not a number"),
        ({"train/image_spread": 0.001}, "image tower has collapsed"),
        ({"train/text_spread": 0.001}, "text tower has collapsed"),
    ],
)
def test_sick_runs_are_diagnosed(figures: dict[str, float], message: str, caplog: pytest.LogCaptureFixture) -> None:
    summary = EpochSummary()
    for _ in range(3):
        summary.diagnose(HEALTHY)
    assert not caplog.records
    for _ in range(3):  # in a later epoch, once
        summary.diagnose(HEALTHY | figures)
    assert [message in record.getMessage() for record in caplog.records] == [True]


def test_healthy_runs_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    EpochSummary().diagnose(HEALTHY)
    assert not caplog.records
