"""The settings of a re-ranker are checked before the dual encoder is trained; `tests/test_rerank.py` trains one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from imtext.data import RetrievalDataModule
from imtext.errors import ConfigError
from imtext.training.checkpoints import TrainedModel
from imtext.training.rerank.after import check_reranker

Untrained = tuple[TrainedModel, RetrievalDataModule]
RECIPE = {"_target_": "imtext.training.rerank.recipe.Recipe"}


def check(untrained: Untrained, reranker: dict[str, Any] | None, recipe: dict[str, Any]) -> None:
    trained, _ = untrained
    model = {} if reranker is None else {"reranker": reranker}
    check_reranker({"model": model, "rerank": recipe}, trained.model, trained.tokenizer.vocabulary)


def test_mistakes_are_found_early_and_nothing_is_drawn(untrained: Untrained) -> None:
    target = {"_target_": "imtext.models.cross_attention.CrossAttention"}
    state = torch.get_rng_state()
    check(untrained, target, RECIPE)
    assert torch.get_rng_state().equal(state)
    with pytest.raises(ConfigError, match=r"reranker\.dim must be"):
        check(untrained, {**target, "dim": 0}, RECIPE)
    with pytest.raises(ConfigError, match=r"rerank\.views=0"):
        check(untrained, target, {**RECIPE, "views": 0})
    check(untrained, None, {**RECIPE, "views": 0})
