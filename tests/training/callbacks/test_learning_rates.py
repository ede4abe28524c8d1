"""One learning rate for each part."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from imtext.training.callbacks import LearningRates
from imtext.training.callbacks.learning_rates import rates_by_part


def optimizer(**rates: float) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [
        {"name": name, "params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for name, rate in rates.items()
    ]
    return torch.optim.AdamW(groups)


def test_decay_and_depth_are_folded() -> None:
    groups = {"image_encoder_1_below": 0.5, "image_encoder": 1.0, "image_encoder_no_decay": 1.0}
    found = rates_by_part(optimizer(projection=3.0, text_encoder=2.0, **groups))
    assert list(found.items()) == [("image_encoder", 1.0), ("text_encoder", 2.0), ("projection", 3.0)]


@pytest.mark.parametrize(("rate", "shown"), [(3.0, False), (4.0, True)])
def test_the_loss_is_shown_where_it_differs(rate: float, shown: bool) -> None:
    assert ("loss" in rates_by_part(optimizer(projection=3.0, loss_no_decay=rate))) == shown


def test_rates_are_logged_at_the_interval_of_the_trainer() -> None:
    logged: list[tuple[dict[str, float], int]] = []
    logger = SimpleNamespace(log_metrics=lambda metrics, step: logged.append((metrics, step)))
    trainer = cast(Any, SimpleNamespace(
        global_step=0, log_every_n_steps=3, should_stop=False, loggers=[logger], callback_metrics={},
        optimizers=[optimizer(projection=3.0, projection_no_decay=3.0)],
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    ))  # fmt: skip
    for step in range(6):
        trainer.global_step = step
        LearningRates().on_train_batch_start(trainer, cast(Any, None), None, step)
    assert logged == [({"lr/projection": 3.0}, 2), ({"lr/projection": 3.0}, 5)]
    # for metrics.json, every group
    assert trainer.callback_metrics.keys() == {"lr-AdamW/projection", "lr-AdamW/projection_no_decay"}
