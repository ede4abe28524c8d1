"""What the base class gives to every re-ranker."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from imtext.models.reranker import Reranker


class Brightest(Reranker):
    """Judges a picture by the sum of its grid, whatever the caption."""

    grid_dim = 2

    def project(self, tokens: Tensor) -> Tensor:
        return tokens[..., :2]

    def judge(self, grid: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return grid.sum(dim=(2, 3))


def test_the_weight_is_saved_and_does_not_learn() -> None:
    model = Brightest()
    assert list(model.parameters()) == []
    assert model.state_dict() == {"weight": torch.tensor(1.0)}
    grid = model.project(torch.ones(1, 3, 4))[None]
    caption = torch.ones(1, 1, dtype=torch.int64), torch.ones(1, 1, dtype=torch.bool)
    assert model(grid, *caption, torch.ones(1, 1)).tolist() == [[(1 + 6) / 2]]
    model.weight.fill_(3)
    assert model(grid, *caption, torch.ones(1, 1)).tolist() == [[(1 + 3 * 6) / 4]]


def test_no_word_vectors_by_default() -> None:
    model = Brightest()
    assert model.wants_word_vectors is None
    with pytest.raises(NotImplementedError, match="Brightest does not start from word vectors"):
        model.start_from(torch.ones(1, 1))
