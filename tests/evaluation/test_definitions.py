"""Every metric against a hand-written matrix."""

from __future__ import annotations

import pytest
import torch

from imtext.evaluation.definitions import equal_text_metrics, metric_names, recall_at, retrieval_metrics, spread
from imtext.evaluation.ranks import retrieval_ranks
from tests.evaluation.galleries import SCORES, hand_written


def test_recall_is_a_share() -> None:
    assert recall_at(torch.tensor([1, 2, 5, 6]), 5) == 0.75


def test_names_are_unique_and_in_order() -> None:
    names = metric_names()
    assert len(names) == len(set(names)) == 19
    assert names[:3] == ["t2i_r@1", "t2i_r@5", "t2i_r@10"]
    assert names[-2:] == ["num_images", "num_captions"]


def test_hand_written_matrix() -> None:
    gallery = hand_written()
    metrics = retrieval_metrics(retrieval_ranks(*gallery), *gallery)
    assert list(metrics) == metric_names()
    assert metrics["i2t_r@1"] == 0.5
    assert metrics["i2t_r@5"] == 0.75
    assert metrics["i2t_r@10"] == 1
    assert metrics["t2i_r@1"] == 3 / 8
    assert metrics["t2i_r@5"] == 1
    assert metrics["i2t_mrr"] == pytest.approx((1 + 1 / 3 + 1 / 7 + 1) / 4)
    assert metrics["t2i_mean_rank"] == pytest.approx((3 * 1 + 5 * 4) / 8)
    assert metrics["i2t_median_rank"] == 1
    assert metrics["rsum"] == pytest.approx(0.5 + 0.75 + 1 + 3 / 8 + 1 + 1)
    own = [0.9, 0.1, 0.7, 0.1, 0.0, 0.1, 0.9, 0.1]
    assert metrics["positive_similarity"] == pytest.approx(sum(own) / 8)
    assert metrics["negative_similarity"] == pytest.approx((SCORES.sum().item() - sum(own)) / 24)
    assert (metrics["num_images"], metrics["num_captions"]) == (4, 8)


def test_equal_embeddings_have_no_spread_and_opposite_ones_the_most() -> None:
    assert spread(torch.tensor([[1.0, 0.0], [1.0, 0.0]])).item() == 0
    assert spread(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).item() == 1
    assert spread(torch.eye(4)).item() == pytest.approx(0.75)


def test_metrics_of_ranks_have_a_second_name() -> None:
    metrics = equal_text_metrics({"t2i": torch.tensor([1, 1, 2, 9]), "i2t": torch.tensor([1, 7])})
    assert metrics["t2i_r@1_equal"] == 0.5
    assert metrics["i2t_median_rank_equal"] == 1
    assert metrics["rsum_equal"] == pytest.approx(0.5 + 0.75 + 1 + 0.5 + 0.5 + 1)
    assert not any("similarity" in name for name in metrics)
