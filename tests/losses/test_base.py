"""The base class of losses: the sum of terms, the chance level, and parameters."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from imtext.losses import Loss, total_loss
from imtext.train import train
from imtext.training.checkpoints import read_checkpoint
from tests.conftest import TINY_SHAPES, Compose
from tests.losses.pairs import own
from tests.losses.sigmoid import SigmoidLoss


class Constant(Loss):
    """Constant terms."""

    def forward(self, *_: Any) -> dict[str, Tensor]:
        return {"infonce_loss": torch.tensor(2.0), "penalty": torch.tensor(0.5)}


def test_every_term_counts() -> None:
    assert float(total_loss(Constant()())) == 2.5


def test_chance_is_the_loss_of_equal_embeddings() -> None:
    class Cosine(Loss):
        def forward(self, image_embeddings: Tensor, text_embeddings: Tensor, *_: Any) -> dict[str, Tensor]:
            return {"cosine": (image_embeddings @ text_embeddings.T).mean()}

    assert float(Cosine().chance(own(3))) == 1
    assert float(Constant().chance(own(3))) == 2.5


def test_a_loss_has_its_own_chance_level() -> None:
    """The entropy of the share of matching pairs, for each of the pairs of an image."""
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert float(SigmoidLoss().chance(own(4))) == pytest.approx(4 * entropy)


def test_the_parameter_of_a_loss_gets_a_gradient() -> None:
    loss, embeddings = SigmoidLoss(), F.normalize(torch.randn(4, 8))
    total = total_loss(loss(embeddings, embeddings, own(4), torch.zeros(())))
    total.backward()  # type: ignore[no-untyped-call]
    assert loss.bias.grad is not None
    assert float(loss.bias.grad) != 0


@pytest.mark.slow
def test_the_parameter_of_a_loss_is_learnt_saved_and_resumed(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "tests")
    run = [
        f"hydra.searchpath=[file://{Path(__file__).parents[1] / 'conf'}]", "loss=sigmoid", *TINY_SHAPES, "logger=none",
        "callbacks.examples=null", "baseline=false", "optim.lr=1e-3", "optim.schedule=constant", "optim.warmup=0",
    ]  # fmt: skip

    def bias(output: str) -> float:
        content = read_checkpoint(tmp_path / "runs" / output / "checkpoints" / "last.ckpt")
        groups = content["optimizer_states"][0]["param_groups"]
        assert groups[-1]["name"] == "loss_no_decay"
        return float(content["state_dict"]["loss.bias"])

    straight, _ = train(compose(*run, "trainer.max_epochs=2", output="straight"))
    train(compose(*run, "trainer.max_epochs=1", output="resumed"))
    after_one = bias("resumed")
    resumed, objects = train(compose(*run, "trainer.max_epochs=2", "ckpt_path=last", output="resumed"))
    assert len({-2.0, after_one, bias("resumed")}) == 3
    assert bias("resumed") == bias("straight")
    assert resumed["train/chance_loss"] == straight["train/chance_loss"]
    assert {"train/matching", "train/others"} <= resumed.keys()
    assert isinstance(objects["module"].loss, SigmoidLoss)
