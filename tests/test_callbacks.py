"""Warnings in plain words."""

from __future__ import annotations

import pytest

from imtext.callbacks import EpochSummary

HEALTHY = {"train/loss_epoch": 2.0, "train/chance_loss": 4.3, "val/image_spread": 0.9, "val/text_spread": 0.9}


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"train/loss_epoch": 4.29}, "guessing"),
        ({"train/loss_epoch": float("nan")}, "not a number"),
        ({"val/image_spread": 0.001}, "image tower has collapsed"),
        ({"val/text_spread": 0.001}, "text tower has collapsed"),
    ],
)
def test_sick_runs_are_diagnosed(figures: dict[str, float], message: str, caplog: pytest.LogCaptureFixture) -> None:
    EpochSummary().diagnose(HEALTHY | figures)
    assert message in caplog.text


def test_healthy_runs_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    EpochSummary().diagnose(HEALTHY)
    assert not caplog.records
