"""Which pictures are scored again, and measuring both models at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from imtext.data import RetrievalDataModule
from imtext.errors import ConfigError
from imtext.models.cross_attention import CrossAttention
from imtext.training.checkpoints import TrainedModel
from imtext.training.rerank.measure import depth_of, measure_both

Untrained = tuple[TrainedModel, RetrievalDataModule]


@pytest.fixture
def both(untrained: Untrained) -> TrainedModel:
    """With a re-ranker whose judgement counts nothing."""
    trained, _ = untrained
    size = trained.model.image_encoder.num_token_features
    reranker = CrossAttention(8, 12, num_token_features=size, vocabulary=trained.tokenizer.vocabulary)
    reranker.weight.fill_(0)
    return replace(trained, reranker=reranker.eval())


def test_depth(untrained: Untrained, both: TrainedModel) -> None:
    assert [depth_of(wanted, untrained[0], "x") for wanted in (None, 0)] == [0, 0]
    assert [depth_of(wanted, both, "x") for wanted in (None, 0, 7)] == [50, 0, 7]
    with pytest.raises(ConfigError, match="rerank_top_k=7: x has no re-ranker"):
        depth_of(7, untrained[0], "x")


def test_a_weight_of_zero_changes_nothing(untrained: Untrained, both: TrainedModel) -> None:
    metrics = measure_both(both, untrained[1], 5, torch.device("cpu"))
    assert "test/t2i_r@1" not in metrics  # there is no test split
    for name in ("r@1", "r@5", "r@10", "mrr", "median_rank", "r@1_low"):
        assert metrics[f"val/rerank_t2i_{name}"] == pytest.approx(metrics[f"val/t2i_{name}"])
    assert metrics["val/rerank_top_k"] == 5
