"""What does not go together with divided towers is refused before training."""

from __future__ import annotations

import pytest

from imtext.errors import ConfigError
from imtext.train import prepare
from tests.conftest import Compose
from tests.runs import QUICK

SETTINGS = [*(each for each in QUICK if each != "trainer=cpu"), "model.image_encoder.train_batch_norm=false"]
TWO = ["trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("+callbacks.average._target_=imtext.training.callbacks.AverageWeights", r"callbacks\.average=null"),
        ("data/order=neighbours", r"data\.order=null"),
        ("model.image_encoder.train_batch_norm=true", r"in stage whole .*\.train_batch_norm=false"),
        ("compile=true", "compile=false"),
        ("trainer.precision=16-mixed", "32-true or bf16-mixed"),
    ],
)
def test_refused(compose: Compose, changes: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"trainer=fsdp.*{message}"):
        prepare(compose(*SETTINGS, *TWO, changes))
