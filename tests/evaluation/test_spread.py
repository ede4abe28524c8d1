"""How far embeddings lie apart."""

from __future__ import annotations

import pytest
import torch

from imtext.evaluation.spread import spread


def test_equal_embeddings_have_no_spread() -> None:
    assert float(spread(torch.eye(8)[:1].expand(5, 8))) == pytest.approx(0, abs=1e-6)


def test_opposite_embeddings_are_spread_out() -> None:
    assert float(spread(torch.cat([torch.eye(4), -torch.eye(4)]))) == pytest.approx(1)
