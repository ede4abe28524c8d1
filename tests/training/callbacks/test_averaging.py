"""The average of the weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning.pytorch import LightningModule

from imtext.errors import ConfigError
from imtext.training.callbacks import AverageWeights


@pytest.mark.parametrize("decay", [0, 1, 1.5])
def test_decay_is_a_share(decay: float) -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.average\.decay"):
        AverageWeights(decay)


def test_the_average_is_made_on_the_device_of_the_run() -> None:
    """Depends on a private attribute of Lightning: if this fails after an update, change `AverageWeights`."""
    module = LightningModule()
    module.layer = torch.nn.Linear(2, 2)
    strategy = SimpleNamespace(root_device=torch.device("meta"), barrier=lambda: None)
    trainer = cast(Any, SimpleNamespace(strategy=strategy, state=SimpleNamespace(fn="fit"), is_global_zero=True))
    averaging = AverageWeights()
    averaging.setup(trainer, module, "fit")
    average = cast(torch.nn.Module, averaging._average_model)
    assert {parameter.device.type for parameter in average.parameters()} == {"meta"}
    assert module.layer.weight.device.type == "cpu"
