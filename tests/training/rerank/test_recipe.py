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
        ({"num_negatives": 0}, "rerank.num_negatives=0 must be at least 1"),
        ({"views": 0}, "rerank.views=0"),
        ({"candidates": 5, "num_negatives": 6}, "rerank.candidates=5 must be at least rerank.num_negatives=6"),
        ({"lr": 0.0}, "rerank.lr must be above zero"),
        ({"warmup": 1.0}, "share of all steps"),
    ],
)
def test_values_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe(**settings)  # type: ignore[arg-type]


def test_matrices_decay_and_the_rate_falls_to_zero() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    optimizer, schedule = Recipe(lr=0.1, weight_decay=0.5, warmup=0.2).optimizer(model, 10)
    decay = {id(each): group["weight_decay"] for group in optimizer.param_groups for each in group["params"]}
    assert [decay[id(each)] for each in model.parameters()] == [0.5, 0, 0, 0]
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.1 / 3)
    assert rates[2] == max(rates) == pytest.approx(0.1)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0)
