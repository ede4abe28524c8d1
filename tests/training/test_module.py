"""The Lightning module: embedding, loss, metrics and what it saves."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from imtext.data import RetrievalDataModule
from imtext.data.batch import Batch
from imtext.errors import CheckpointError
from imtext.losses import InfoNCE
from imtext.train import train
from imtext.training.checkpoints import FORMAT, TrainedModel, read_checkpoint
from imtext.training.module import RetrievalModule
from imtext.training.optim import AdamW
from imtext.training.stages import Plan
from tests.conftest import Compose
from tests.losses.sigmoid import SigmoidLoss
from tests.runs import INTERRUPT, QUICK, interrupt_at, same, weights, without_time

Untrained = tuple[TrainedModel, RetrievalDataModule]


@pytest.fixture
def module(untrained: Untrained) -> RetrievalModule:
    trained, _ = untrained
    plan = Plan(None, len(trained.model.image_encoder.blocks), len(trained.model.text_encoder.blocks))
    return RetrievalModule(trained.model, InfoNCE(), AdamW(), trained.tokenizer, trained.preprocess, plan).eval()


@pytest.fixture
def batch(untrained: Untrained) -> Batch:
    found: Batch = next(iter(untrained[1].eval_dataloader("val")))
    return found


@torch.inference_mode()
def test_embeddings_have_unit_length(module: RetrievalModule, batch: Batch) -> None:
    images, texts = module.embed(batch)
    assert (len(images), len(texts)) == (len(batch["image_id"]), len(batch["caption_image_id"]))
    for embeddings in (images, texts):
        torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(len(embeddings)))


@torch.inference_mode()
def test_cached_text_features_take_the_place_of_the_text_tower(module: RetrievalModule, batch: Batch) -> None:
    features = module.model.text_encoder(batch["input_ids"], batch["attention_mask"])
    cached: Batch = {**batch, "text_features": features, "input_ids": torch.zeros_like(batch["input_ids"])}
    assert module.embed(cached)[1].equal(module.embed(batch)[1])


def test_what_is_saved_is_plain_and_complete(module: RetrievalModule) -> None:
    checkpoint: dict[str, Any] = {}
    module.on_save_checkpoint(checkpoint)
    facts = checkpoint["imtext"]
    assert json.loads(json.dumps(facts)) == facts
    assert facts["format"] == FORMAT
    assert facts["vocabulary"] == module.tokenizer.vocabulary.to_dict()
    module.on_load_checkpoint(checkpoint)
    with pytest.raises(CheckpointError, match="another vocabulary"):
        module.on_load_checkpoint({"imtext": {**facts, "tokenizer": "{}"}})


@pytest.mark.slow
def test_a_loss_may_have_parameters(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are optimised, saved and resumed, and every term that the loss returns counts."""
    interrupt_at(monkeypatch, epoch=1, batch=1)
    monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "tests")
    config = [
        *(each for each in QUICK if not each.startswith("loss")),
        "~loss",
        "+loss={_target_:tests.losses.sigmoid.SigmoidLoss,bias:-1}",
        "trainer.max_epochs=2",
        "optim.lr=1e-2",
    ]
    straight, objects = train(compose(*config, output="straight"))
    assert straight["train/loss_epoch"] == pytest.approx(
        straight["train/matching"] + straight["train/others"], abs=1e-5
    )
    questions = 8 * 5  # of an image, of which five are its own captions: the entropy of one in eight
    entropy = -(math.log(1 / 8) / 8 + 7 * math.log(7 / 8) / 8)
    assert straight["train/chance_loss"] == pytest.approx(questions * entropy)  # its own, not computed from its forward
    loss = objects["module"].loss
    assert isinstance(loss, SigmoidLoss)
    saved = weights(tmp_path / "runs/straight")
    assert saved["loss.bias"] != -1
    optimizer = read_checkpoint(tmp_path / "runs/straight/checkpoints/last.ckpt")["optimizer_states"][0]
    assert any("loss" in group["name"] for group in optimizer["param_groups"])

    with pytest.raises(RuntimeError, match="interrupted"):
        train(compose(*config, INTERRUPT, output="resumed"))
    resumed, _ = train(compose(*config, "ckpt_path=last", output="resumed"))
    assert without_time(resumed) == without_time(straight)
    assert same(weights(tmp_path / "runs/resumed"), saved)
