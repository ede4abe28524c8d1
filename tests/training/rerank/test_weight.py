"""The weight of the judgement: found by its effect on MRR."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from imtext.evaluation.reranking import Shortlists
from imtext.training.rerank.weight import fit_weight


def lists(similarity: Tensor, correct: int = 0) -> Shortlists:
    captions, size = similarity.shape
    ranks = torch.tensor([1 + int((row > row[correct]).sum()) for row in similarity])
    return Shortlists(torch.arange(size).expand(captions, size), similarity, torch.full((captions,), correct), ranks)


def mrr(shortlists: Shortlists, judgement: Tensor, weight: float) -> float:
    return float((1 / shortlists.reranked(shortlists.similarity + weight * judgement)).mean())


def test_a_judgement_that_knows_counts_much_and_one_that_guesses_counts_little() -> None:
    generator = torch.Generator().manual_seed(0)
    similarity = torch.rand(200, 10, generator=generator)
    noise = torch.randn(200, 10, generator=generator)
    right = torch.zeros(200, 10)
    right[:, 0] = 4
    knows, guesses = fit_weight(lists(similarity), right + noise), fit_weight(lists(similarity), noise)
    assert mrr(lists(similarity), right + noise, knows) > 0.95
    assert knows > guesses
    assert fit_weight(lists(similarity), -right) == 0


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_scale_of_the_judgement_does_not_matter(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    similarity, judgement = torch.rand(2, 300, 10, generator=generator)
    judgement[:, 0] += 0.4
    similarity[:, 0] += 0.4
    expected = fit_weight(lists(similarity), judgement)
    assert fit_weight(lists(similarity), judgement * scale) * scale == pytest.approx(expected, rel=1e-3)
    assert mrr(lists(similarity), judgement, expected) > mrr(lists(similarity), judgement, 0)


@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf])
def test_a_judgement_without_meaning_counts_nothing(value: float) -> None:
    assert fit_weight(lists(torch.rand(5, 4)), torch.full((5, 4), value)) == 0
