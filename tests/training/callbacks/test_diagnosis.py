"""Warnings about runs that do not learn, once each."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from imtext.training.callbacks import Diagnosis

HEALTHY = {"train/loss_epoch": 2.0, "train/chance_loss": 4.3, "train/image_spread": 0.9, "train/text_spread": 0.9}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train/loss_epoch": 4.29}, "chance level"),
        ({"train/image_spread": 0.001}, "image tower has collapsed"),
        ({"train/text_spread": 0.001}, "text tower has collapsed"),
    ],
)
def test_each_problem_is_reported_once(
    values: dict[str, float], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    diagnosis = Diagnosis()
    for _ in range(3):
        diagnosis.check(HEALTHY)
    assert not caplog.records
    for _ in range(3):
        diagnosis.check(HEALTHY | values)
    assert [message in record.getMessage() for record in caplog.records] == [True]


def epoch_end(diagnosis: Diagnosis, steps: int, **values: float) -> Any:
    metrics = HEALTHY | {f"train/{name}": value for name, value in values.items()}
    trainer = cast(Any, SimpleNamespace(callback_metrics=metrics, global_step=steps, fast_dev_run=0))
    diagnosis.on_train_epoch_end(trainer, cast(Any, None))
    return trainer


def test_a_young_model_is_not_judged_before_the_end(caplog: pytest.LogCaptureFixture) -> None:
    diagnosis = Diagnosis(after_steps=50)
    trainer = epoch_end(diagnosis, steps=49, loss_epoch=4.29)
    assert not caplog.records
    diagnosis.on_train_end(trainer, cast(Any, None))
    assert "nothing has been learnt" in caplog.text


def test_a_model_with_enough_steps_is_judged_after_each_epoch(caplog: pytest.LogCaptureFixture) -> None:
    epoch_end(Diagnosis(), steps=50, text_spread=0.0)
    assert "text tower has collapsed" in caplog.text
