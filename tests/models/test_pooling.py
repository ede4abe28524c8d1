"""Pooling looks at real tokens only."""

from __future__ import annotations

import pytest
import torch

from imtext.models.pooling import Pooling, pool

STATES = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [9.0, 9.0]]])
MASK = torch.tensor([[True, True, False]])


@pytest.mark.parametrize(
    ("pooling", "expected"), [("mean", [2, -3]), ("max", [3, -2]), ("first", [1, -4]), ("last", [3, -2])]
)
def test_values(pooling: Pooling, expected: list[float]) -> None:
    assert pool(STATES, MASK, pooling).tolist() == [expected]
