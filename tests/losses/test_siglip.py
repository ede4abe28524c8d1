"""The pairwise sigmoid loss."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from imtext.errors import ConfigError
from imtext.losses import SigLIP, Targets
from imtext.train import train
from imtext.training.checkpoints import read_checkpoint
from tests.conftest import TINY_SHAPES, Compose
from tests.losses.pairs import own

DOUBLED = torch.tensor(2.0).log()


def wrong(logit: float) -> float:
    """The loss of a question whose right answer has this logit."""
    return math.log(1 + math.exp(-logit))


def test_two_pairs_that_match_and_two_that_do_not() -> None:
    loss = SigLIP(2, initial_bias=-1)(torch.eye(2), torch.eye(2), own(2), DOUBLED)["siglip_loss"]
    # The logits are 2 - 1 where a pair matches and 0 - 1 where not: each of the four answers is right with sigmoid(1).
    assert float(loss.detach()) == pytest.approx(2 * wrong(1))


def test_a_shared_caption_matches_both_images() -> None:
    positive = torch.tensor([[1, 0], [1, 1]]).bool()
    loss = SigLIP(2, initial_bias=-1)(torch.eye(2), torch.eye(2), Targets(positive), DOUBLED)["siglip_loss"]
    # Caption 0 has similarity 1 with image 0 and 0 with image 1, and both should match.
    assert float(loss.detach()) == pytest.approx((wrong(1) + wrong(-1) + wrong(1) + wrong(1)) / 2)


def test_the_bias_begins_with_the_share_of_matching_pairs() -> None:
    assert torch.sigmoid(SigLIP(64).bias).item() == pytest.approx(1 / 64)
    assert SigLIP(64, initial_bias=-10).bias.item() == -10
    with pytest.raises(ConfigError, match=r"loss\.batch_size=1"):
        SigLIP(1)


def test_chance_is_the_share_of_matching_pairs() -> None:
    """Three captions of each of four images; each caption is asked about four images."""
    expected = -math.log(1 / 4) - 3 * math.log(3 / 4)
    assert SigLIP(4).chance(own(4, captions=3)).item() == pytest.approx(expected)
    unrelated = torch.eye(8)
    started = SigLIP(4)(unrelated[:4], unrelated[4:], own(4), DOUBLED)["siglip_loss"]
    assert float(started.detach()) == pytest.approx(expected)  # where training begins


@pytest.mark.slow
def test_the_bias_is_learnt_saved_and_resumed(compose: Compose, tmp_path: Path) -> None:
    run = [
        "loss=siglip", *TINY_SHAPES, "logger=none", "callbacks.examples=null", "baseline=false", "optim.lr=1e-3",
        "optim.schedule=constant", "optim.warmup=0",
    ]  # fmt: skip

    def bias(output: str) -> float:
        content = read_checkpoint(tmp_path / "runs" / output / "checkpoints" / "last.ckpt")
        groups = content["optimizer_states"][0]["param_groups"]
        assert groups[-1]["name"] == "loss_no_decay"
        return float(content["state_dict"]["loss.bias"])

    straight, _ = train(compose(*run, "trainer.max_epochs=2", output="straight"))
    train(compose(*run, "trainer.max_epochs=1", output="resumed"))
    after_one = bias("resumed")
    resumed, _ = train(compose(*run, "trainer.max_epochs=2", "ckpt_path=last", output="resumed"))
    assert len({float(SigLIP(8).bias), after_one, bias("resumed")}) == 3
    assert bias("resumed") == bias("straight")
    assert resumed["train/loss_epoch"] == straight["train/loss_epoch"]
    entropy = -(math.log(1 / 8) / 8 + 7 * math.log(7 / 8) / 8)
    assert straight["train/chance_loss"] == pytest.approx(8 * entropy)
