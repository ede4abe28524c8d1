"""The step of a re-ranker: its loss, the average of its weights, and what its checkpoints hold."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from imtext.evaluation.reranking import SecondLook, shortlists
from imtext.models.reranker import Reranker
from imtext.training.rerank.batches import RerankBatch
from imtext.training.rerank.module import RerankModule, Saved, renamed, symmetric_loss, validate
from imtext.training.rerank.recipe import Recipe
from tests.evaluation.galleries import hand_written


class Product(Reranker):
    """Judges by the product of the first word and the grid."""

    grid_dim = 1

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.0))

    def project(self, tokens: Tensor) -> Tensor:
        return tokens

    def judge(self, grid: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.scale * input_ids[:, :1] * grid.sum(dim=(2, 3))


def batch() -> RerankBatch:
    """Pictures 1 and -1; captions 1 and 2 of the first, -1 of the second."""
    return RerankBatch(
        tokens=torch.tensor([1.0, -1.0])[:, None, None],
        input_ids=torch.tensor([[1], [2], [-1]]),
        attention_mask=torch.ones(3, 1, dtype=torch.bool),
        own=torch.tensor([0, 0, 1]),
        also=torch.zeros(3, 2, dtype=torch.bool),
    )


def module(monkeypatch: pytest.MonkeyPatch, **recipe: float) -> tuple[RerankModule, dict[str, float]]:
    saved = Saved({"model.x": torch.ones(2)}, {"format": 2})
    made = RerankModule(Product(), Recipe(temperature=0.5, **recipe), None, saved)  # type: ignore[arg-type]
    logged: dict[str, float] = {}
    monkeypatch.setattr(made, "log", lambda name, value, **_: logged.update({name: float(value.detach())}))
    return made, logged


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def test_the_loss_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    made, logged = module(monkeypatch)
    # Scores over temperature: [[2, -2], [4, -4], [-2, 2]]. To the picture: the difference is 4, 8, 4.
    to_picture = (softplus(-4) + softplus(-8) + softplus(-4)) / 3
    # To the caption: 2 and 4 against -2; and 2 against -2 and -4.
    to_caption = (softplus(-4) + softplus(-6) + math.log(1 + math.exp(-4) + math.exp(-6))) / 3
    expected = (to_picture + to_caption) / 2
    assert made.training_step(batch(), 0).item() == pytest.approx(expected, rel=1e-4)
    assert logged == {"rerank/loss": pytest.approx(expected, rel=1e-4)}


def test_a_picture_of_the_same_text_is_no_negative() -> None:
    logits = torch.tensor([[1.0, 5.0], [0.0, 1.0]], requires_grad=True)
    own, also = torch.tensor([0, 1]), torch.tensor([[False, True], [False, False]])
    loss = symmetric_loss(logits, own, also)
    # Of the first caption nothing wrong is left; nor is it a wrong caption of the second picture.
    assert loss.item() == pytest.approx((softplus(-1) / 2 + softplus(0 - 1) / 2) / 2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 1] == 0


def test_a_single_picture_has_no_loss_and_finite_gradients() -> None:
    logits = torch.tensor([[3.0], [1.0]], requires_grad=True)
    loss = symmetric_loss(logits, torch.tensor([0, 0]), torch.zeros(2, 1, dtype=torch.bool))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.equal(torch.zeros(2, 1))


@pytest.mark.parametrize("decay", [0.9, 0.0])
def test_the_average_of_the_weights(monkeypatch: pytest.MonkeyPatch, decay: float) -> None:
    made, _ = module(monkeypatch, average=decay)
    expected = 0.0
    for step in range(30):
        with torch.no_grad():
            made.reranker.scale.fill_(step)  # type: ignore[operator]
        made.on_train_batch_end(None, batch(), step)
        kept = min(decay, (1 + step) / (10 + step)) if step else 0
        expected = kept * expected + (1 - kept) * step
    assert float(made.average.state_dict()["module.scale"]) == pytest.approx(expected, rel=1e-4)


class Gallery(SecondLook):
    """Four pictures and eight captions; the re-ranker's judgement of a picture is its number."""

    def __init__(self) -> None:
        self.image_id, self.caption_image_id = torch.arange(4), hand_written()[3]
        self.lists = shortlists(*hand_written(), 4)

    def judgement(self, reranker: Reranker, title: str = "") -> Tensor:
        return self.lists.candidates.float()


def test_validation_sets_the_weight_that_it_measures() -> None:
    look, reranker = Gallery(), Product()
    metrics = validate(look, reranker)
    assert metrics["rerank_weight"] == pytest.approx(float(reranker.weight))
    again = look.ranks(reranker)
    assert metrics["rerank_t2i_mrr"] == pytest.approx((1 / again).mean().item())
    assert metrics["rerank_t2i_mrr"] >= (1 / look.lists.ranks).mean().item()
    assert "rerank_t2i_r@1_low" not in metrics


def test_checkpoints_hold_both_models_and_load_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = module(monkeypatch)
    made.on_train_batch_end(None, batch(), 0)
    with torch.no_grad():
        made.reranker.scale.fill_(7)  # type: ignore[operator]
    before = {name: value.clone() for name, value in made.state_dict().items()}
    checkpoint: dict[str, Any] = {"state_dict": made.state_dict()}
    made.on_save_checkpoint(checkpoint)
    state = checkpoint["state_dict"]
    assert state["reranker.scale"] == 1  # the average
    assert state["trained.scale"] == 7
    assert state["model.x"].equal(torch.ones(2))
    assert checkpoint["imtext"] == {"format": 2}
    made.on_load_checkpoint(checkpoint)
    assert checkpoint["state_dict"].keys() == before.keys()
    assert all(checkpoint["state_dict"][name].equal(value) for name, value in before.items())


def test_names_are_changed_at_their_beginning_only() -> None:
    state = {"a.b": torch.ones(1), "b.a.": torch.ones(1), "c": torch.ones(1)}
    assert list(renamed(state, {"a.": "b.", "b.": "a."})) == ["b.b", "a.a.", "c"]
