"""Several losses at once."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch

from imtext.config.instantiate import instantiate
from imtext.config.schema import check_config
from imtext.errors import ConfigError
from imtext.losses import InfoNCE, MaxViolation, SigLIP, WeightedSum, total_loss
from imtext.train import train
from imtext.training.checkpoints import read_checkpoint
from tests.conftest import Compose
from tests.losses.pairs import own, unit
from tests.runs import INTERRUPT, QUICK, interrupt_at, same, weights, without_time

SCALE = torch.tensor(2.0)


def test_one_weighted_term_for_each_loss() -> None:
    given = unit(4, 8), unit(8, 8, seed=1), own(4, captions=2), SCALE
    parts = {"first": InfoNCE(text_weight=0.3), "hinge": MaxViolation()}
    terms = WeightedSum(parts, {"hinge": 0.5})(*given)
    assert terms["first_loss"].item() == pytest.approx(total_loss(parts["first"](*given)).item())
    assert terms["hinge_loss"].item() == pytest.approx(0.5 * total_loss(parts["hinge"](*given)).item())
    assert len(terms) == 2


def test_chance_is_the_weighted_sum() -> None:
    chance = WeightedSum({"a": InfoNCE(), "b": MaxViolation(margin=0.3)}, {"a": 2, "b": 0.5}).chance(own(7))
    assert chance.item() == pytest.approx(2 * math.log(7) + 0.5 * 0.6)


def test_the_temperature_is_used_if_one_loss_uses_it() -> None:
    assert WeightedSum({"a": InfoNCE(), "b": MaxViolation()}).uses_logit_scale
    assert not WeightedSum({"b": MaxViolation(), "c": None}).uses_logit_scale


def test_every_loss_advances_and_is_clamped() -> None:
    class Counting(MaxViolation):
        calls = 0.0

        def advance(self, done: float) -> None:
            self.calls += done

        def clamp(self) -> None:
            self.calls += 1

    one, other = Counting(), Counting()
    both = WeightedSum({"one": one, "other": other})
    both.advance(0.25)
    both.clamp()
    assert one.calls == other.calls == 1.25


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"loss\.weights\.siglp=2: there is no loss of this name.*infonce, siglip"):
        WeightedSum({"infonce": InfoNCE(), "siglip": SigLIP(8)}, {"siglp": 2})
    with pytest.raises(ConfigError, match="no loss to be added"):
        WeightedSum({"infonce": None})
    with pytest.raises(ConfigError, match=re.escape("loss.losses.infonce=null")):
        WeightedSum({"infonce": InfoNCE()}, {"infonce": 0})


def test_losses_are_added_and_left_out_by_configuration(compose: Compose) -> None:
    added = ["+loss@loss.losses.siglip=siglip", "+loss.weights.siglip=0.5", "loss.losses.max_violation=null"]
    config = compose("loss=sum", *added, "data.batch_size=8")
    check_config(config)
    loss = instantiate(config.loss)
    assert loss.weights == {"infonce": 1, "siglip": 0.5}
    assert {name: value.item() for name, value in loss.named_parameters()} == {
        "losses.siglip.bias": pytest.approx(-math.log(7))
    }
    with pytest.raises(ConfigError, match=r"weights\.triplet"):
        instantiate(compose("loss=sum", "+loss.weights.triplet=1").loss)
    with pytest.raises(ConfigError, match=r"loss\.losses\.infonce\.text_wait.*text_weight"):
        check_config(compose("loss=sum", "+loss.losses.infonce.text_wait=1"))


@pytest.mark.slow
def test_a_sum_is_learnt_saved_and_resumed(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of the warm-up of one loss, with the parameter of another; every term counts."""
    interrupt_at(monkeypatch, epoch=1, batch=1)
    added = ["loss=sum", "+loss@loss.losses.siglip=siglip", "loss.losses.max_violation.warm_up=0.9"]
    config = [*QUICK, *added, "trainer.max_epochs=2", "optim.lr=1e-2"]
    straight, _ = train(compose(*config, output="straight"))
    terms = [straight[f"train/{name}_loss"] for name in ("infonce", "max_violation", "siglip")]
    assert straight["train/loss_epoch"] == pytest.approx(sum(terms), abs=1e-5)
    saved = weights(tmp_path / "runs/straight")
    assert saved["loss.losses.siglip.bias"] != SigLIP(8).bias
    optimizer = read_checkpoint(tmp_path / "runs/straight/checkpoints/last.ckpt")["optimizer_states"][0]
    assert optimizer["param_groups"][-1]["name"] == "loss_no_decay"

    with pytest.raises(RuntimeError, match="interrupted"):
        train(compose(*config, INTERRUPT, output="resumed"))
    resumed, _ = train(compose(*config, "ckpt_path=last", output="resumed"))
    assert without_time(resumed) == without_time(straight)
    assert same(weights(tmp_path / "runs/resumed"), saved)
