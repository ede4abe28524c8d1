"""The Lightning module: embedding, loss, metrics and what it saves."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from imtext.data import RetrievalDataModule
from imtext.data.batch import Batch
from imtext.errors import CheckpointError
from imtext.losses import InfoNCE
from imtext.training.checkpoints import FORMAT, TrainedModel
from imtext.training.module import RetrievalModule
from imtext.training.optim import AdamW
from imtext.training.stages import Plan

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
    checkpoint: dict[str, Any] = {"state_dict": {}}
    module.on_save_checkpoint(checkpoint)
    facts = checkpoint["imtext"]
    assert json.loads(json.dumps(facts)) == facts
    assert facts["format"] == FORMAT
    assert facts["vocabulary"] == module.tokenizer.vocabulary.to_dict()
    module.on_load_checkpoint(checkpoint)
    with pytest.raises(CheckpointError, match="another vocabulary"):
        module.on_load_checkpoint({"imtext": {**facts, "tokenizer": "{}"}})
