"""Spread of embeddings between its two extremes."""

from __future__ import annotations

import pytest
import torch

from imtext.evaluation.spread import spread


def test_equal_embeddings_have_no_spread_and_opposite_ones_the_most() -> None:
    assert spread(torch.tensor([[1.0, 0.0], [1.0, 0.0]])).item() == 0
    assert spread(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).item() == 1
    assert spread(torch.eye(4)).item() == pytest.approx(0.75)
