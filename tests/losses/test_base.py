"""The base class of losses, and what holds for every loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from imtext.config.instantiate import instantiate
from imtext.config.paths import CONFIG_DIR
from imtext.data import RetrievalDataModule
from imtext.data.batch import BatchKey
from imtext.losses import Loss, Targets, total_loss
from imtext.training.build import ModelBuilder
from imtext.training.checkpoints import TrainedModel
from imtext.training.module import RetrievalModule
from imtext.training.optim import AdamW
from imtext.training.stages import Plan
from imtext.training.targets import targets_of
from tests.conftest import TINY_SHAPES, Compose
from tests.losses.pairs import own, unit

Untrained = tuple[TrainedModel, RetrievalDataModule]


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


LOSSES = sorted(path.stem for path in (CONFIG_DIR / "loss").glob("*.yaml"))


@pytest.mark.parametrize("option", LOSSES)
def test_every_parameter_gets_a_gradient(option: str, compose: Compose, untrained: Untrained) -> None:
    """With every loss there is, on a real model and captions that two pictures share."""
    config, (trained, data) = compose(f"loss={option}", *TINY_SHAPES), untrained
    model = ModelBuilder(config.model).finish(trained.tokenizer.vocabulary)
    loss: Loss = instantiate(config.loss)
    plan = Plan(None, len(model.image_encoder.blocks), len(model.text_encoder.blocks))
    module = RetrievalModule(model, loss, AdamW(), trained.tokenizer, trained.preprocess, plan)
    batch = data.dataset("val")[BatchKey(0, tuple(range(8)))]
    positive = targets_of(batch).positive
    positive[0] |= positive[1]
    targets = Targets(positive, teacher=positive.float() - 0.5)
    loss.advance(0.01)
    total_loss(loss(*module.embed(batch), targets, model.logit_scale)).backward()  # type: ignore[no-untyped-call]
    learnt = {name: value.grad for name, value in module.named_parameters() if value.requires_grad}
    assert [name for name, gradient in learnt.items() if gradient is None or not gradient.isfinite().all()] == []
    assert ("model.logit_scale" in learnt) == loss.uses_logit_scale
    assert {f"loss.{name}" for name, _ in loss.named_parameters()} <= learnt.keys()
    assert loss.chance(targets).isfinite()


@pytest.mark.parametrize("option", LOSSES)
def test_a_batch_without_negatives_does_no_harm(option: str, compose: Compose) -> None:
    """The last batch of a validation split may have a single image, or two with the same captions."""
    loss: Loss = instantiate(compose(f"loss={option}", *TINY_SHAPES).loss)
    images, texts = unit(2, 8).requires_grad_(), unit(3, 8, seed=1).requires_grad_()
    targets = Targets(torch.ones(2, 3, dtype=torch.bool), teacher=torch.zeros(2, 3))
    for done in (0.01, 0.9):
        loss.advance(done)
        total = total_loss(loss(images, texts, targets, torch.tensor(2.0)))
        total.backward()  # type: ignore[no-untyped-call]
        assert total.isfinite()
    for embeddings in (images, texts):
        assert embeddings.grad is not None
        assert embeddings.grad.isfinite().all()
