"""The settings of the training of a re-ranker."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from imtext.errors import ConfigError
from imtext.training.rerank.recipe import Recipe


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pictures_per_step": 1}, r"rerank\.pictures_per_step=1 must be at least 2"),
        ({"views": 0}, r"rerank\.views=0 must be at least 1"),
        ({"captions_per_picture": 0}, r"rerank\.captions_per_picture=0"),
        ({"lr": 0.0}, r"rerank\.lr must be above zero"),
        ({"temperature": 0.0}, r"rerank\.temperature"),
        ({"average": 1.0}, r"rerank\.average"),
        ({"warmup": 1.0}, "share of all steps"),
    ],
)
def test_values_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe(**settings)  # type: ignore[arg-type]


def test_matrices_decay_and_the_rate_falls_to_zero() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    parameters = list(model.parameters())
    optimizer, schedule = Recipe(lr=0.1, weight_decay=0.5, warmup=0.2).optimizer(parameters, 10)
    decay = {id(each): group["weight_decay"] for group in optimizer.param_groups for each in group["params"]}
    assert [decay[id(each)] for each in parameters] == [0.5, 0, 0, 0]
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.1 / 3)
    assert rates[2] == max(rates) == pytest.approx(0.1)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0)
