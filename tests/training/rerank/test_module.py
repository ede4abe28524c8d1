"""The step of a re-ranker: its loss, its independence of the similarity, and what its checkpoints hold."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from imtext.evaluation.reranking import SecondLook, shortlists
from imtext.models.reranker import Reranker
from imtext.training.rerank.batches import RerankBatch
from imtext.training.rerank.module import RerankModule, Saved, validate
from imtext.training.rerank.recipe import Recipe
from tests.evaluation.galleries import hand_written


class Sum(Reranker):
    """Judges by the sum of the grid."""

    grid_dim = 1

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.0))

    def project(self, tokens: Tensor) -> Tensor:
        return tokens

    def forward(self, grid: Tensor, input_ids: Tensor, attention_mask: Tensor, similarity: Tensor) -> Tensor:
        return similarity + self.weight * self.scale * grid.sum(dim=(2, 3))


def batch() -> RerankBatch:
    return RerankBatch(
        tokens=torch.tensor([2.0, 1.0, 0.0])[:, None, None],
        picture=torch.tensor([[0, 1, 2], [1, 0, 0]]),
        real=torch.tensor([[True, True, True], [True, True, False]]),
        input_ids=torch.ones(2, 1, dtype=torch.int64),
        attention_mask=torch.ones(2, 1, dtype=torch.bool),
    )


def module(monkeypatch: pytest.MonkeyPatch) -> tuple[RerankModule, dict[str, float]]:
    made = RerankModule(Sum(), Recipe(), None, Saved({"model.x": torch.ones(2)}, {"format": 2}))
    logged: dict[str, float] = {}
    monkeypatch.setattr(made, "log", lambda name, value, **_: logged.update({name: float(value)}))
    return made, logged


def test_the_loss_is_that_of_finding_the_own_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    made, logged = module(monkeypatch)
    e = math.e
    # Scores 2, 1, 0 of the first caption, and 1, 2 of the second, whose third place is empty.
    expected = (-math.log(e**2 / (e**2 + e + 1)) - math.log(e / (e + e**2))) / 2
    assert made.training_step(batch(), 0).item() == pytest.approx(expected)
    assert logged == {"rerank/loss": pytest.approx(expected), "rerank/right": 0.5}


def test_an_epoch_trains_the_judgement_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = module(monkeypatch)
    before = made.training_step(batch(), 0)
    made.reranker.weight.fill_(0.01)  # as a validation leaves it
    made.on_train_epoch_start()
    assert made.training_step(batch(), 0).equal(before)


class Gallery(SecondLook):
    """Four pictures and eight captions; the re-ranker's judgement of a picture is its number."""

    def __init__(self) -> None:
        self.image_id, self.caption_image_id = torch.arange(4), hand_written()[3]
        self.lists = shortlists(*hand_written(), 4)

    def scores(self, reranker: Reranker, similarity: Tensor, title: str = "") -> Tensor:
        return similarity + reranker.weight * self.lists.candidates.float()


def test_validation_sets_the_weight_that_it_measures() -> None:
    look, reranker = Gallery(), Sum()
    metrics = validate(look, reranker)
    assert metrics["rerank_weight"] == pytest.approx(float(reranker.weight))
    again = look.ranks(reranker)
    assert metrics["rerank_t2i_mrr"] == pytest.approx((1 / again).mean().item())
    assert metrics["rerank_t2i_mrr"] >= (1 / look.lists.ranks).mean().item()
    assert "rerank_t2i_r@1_low" not in metrics


def test_checkpoints_hold_both_models_and_load_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = module(monkeypatch)
    checkpoint: dict[str, Any] = {"state_dict": made.state_dict()}
    made.on_save_checkpoint(checkpoint)
    assert set(checkpoint["state_dict"]) == {"model.x", "reranker.scale", "reranker.weight"}
    assert checkpoint["imtext"] == {"format": 2}
    made.on_load_checkpoint(checkpoint)
    made.load_state_dict(checkpoint["state_dict"])
