"""Confidence intervals: their width, their coverage, and captions in any order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from imtext.evaluation.bootstrap import bootstrap_intervals


def correlated_ranks(images: int = 400, seed: int = 0) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Captions that all have the rank of their image, and ids out of order."""
    generator = torch.Generator().manual_seed(seed)
    image_id = torch.randperm(images, generator=generator) * 3 + 7
    good = torch.rand(images, generator=generator) < 0.5
    ranks = {"t2i": torch.where(good, 1, 50).repeat_interleave(5), "i2t": torch.where(good, 1, 50)}
    return ranks, image_id, image_id.repeat_interleave(5)


def test_images_are_drawn_instead_of_captions() -> None:
    ranks, image_id, owner = correlated_ranks()
    intervals = bootstrap_intervals(ranks, image_id, owner)
    value = (ranks["i2t"] == 1).float().mean().item()
    # of a share: ± 1.96 √(p (1 - p) / n), with n the number of images for captions as well
    half = 1.96 * (value * (1 - value) / len(image_id)) ** 0.5
    for name in ("t2i_r@1", "i2t_r@1"):
        low, high = intervals[name]
        assert low == pytest.approx(value - half, abs=0.01)
        assert high == pytest.approx(value + half, abs=0.01)


def test_covers_the_true_value_in_about_95_of_100_samples() -> None:
    covered = 0
    for seed in range(60):
        low, high = bootstrap_intervals(*correlated_ranks(100, seed), samples=500)["t2i_r@1"]
        covered += low <= 0.5 <= high
    assert covered >= 52  # 57 are expected


def test_captions_in_any_order_and_number() -> None:
    image_id, owner = torch.tensor([5, 2, 9]), torch.tensor([9, 2, 5, 2])
    ranks = {"t2i": torch.tensor([1, 1, 1, 1]), "i2t": torch.tensor([1, 20, 1])}
    intervals = bootstrap_intervals(ranks, image_id, owner)
    assert intervals == bootstrap_intervals(ranks, image_id, owner)
    assert intervals["i2t_r@10"][0] < 1
    assert min(intervals["t2i_r@1"]) == 1
