"""The triplet loss with the hardest negative."""

from __future__ import annotations

import pytest
import torch

from imtext.errors import ConfigError
from imtext.losses import MaxViolation, Targets
from tests.losses.pairs import own, unit

UNUSED = torch.tensor(float("nan"))  # a temperature would spoil everything
# Three images and three captions with these similarities; the diagonal matches.
SIMILARITY = torch.tensor([[0.9, 0.8, 0.1], [0.3, 0.5, 0.6], [0.0, 0.2, 0.4]])


def loss_of(loss: MaxViolation, targets: Targets) -> float:
    return float(loss(SIMILARITY, torch.eye(3), targets, UNUSED)["max_violation_loss"])


def test_the_hardest_negative_of_each_pair() -> None:
    # Text to image, by column: 0.9 beats 0.3 | 0.2 + 0.8 - 0.5 | 0.2 + 0.6 - 0.4; image to text, by row:
    # 0.2 + 0.8 - 0.9 | 0.2 + 0.6 - 0.5 | 0.2 + 0.2 - 0.4.
    by_hand = (0 + 0.5 + 0.4 + 0.1 + 0.3 + 0) / 3
    assert loss_of(MaxViolation(margin=0.2), own(3)) == pytest.approx(by_hand)


def test_a_shared_caption_is_no_negative() -> None:
    """Caption 1 describes image 0, too: a pair more, and its similarity of 0.8 violates nothing any more."""
    positive = torch.eye(3, dtype=torch.bool)
    positive[0, 1] = True
    # Pairs 00, 01, 11, 22. Text to image: 0 | 0.2 + 0.2 - 0.8 | 0.2 + 0.2 - 0.5 | 0.4; image to text: 0 | 0 | 0.3 | 0.
    assert loss_of(MaxViolation(margin=0.2), Targets(positive)) == pytest.approx((0.4 + 0.3) / 4)


def test_warm_up_blends_from_the_mean_of_all_negatives() -> None:
    loss = MaxViolation(margin=0.2, warm_up=0.5)
    # By column: 0, 0 | 0.5, 0 | 0, 0.4; by row: 0.1, 0 | 0, 0.3 | 0, 0; the mean over two negatives of each.
    mean, hardest = (0.5 + 0.4 + 0.1 + 0.3) / 2 / 3, (0.5 + 0.4 + 0.1 + 0.3) / 3
    for done, share in ((0.0, 0.0), (0.125, 0.25), (0.5, 1.0), (0.9, 1.0)):
        loss.advance(done)
        assert loss_of(loss, own(3)) == pytest.approx(mean + share * (hardest - mean))
    loss.advance(0.0)
    assert loss_of(loss.eval(), own(3)) == pytest.approx(hardest)  # the measure of all epochs
    without = MaxViolation(margin=0.2, warm_up=0)
    without.advance(0.0)
    assert loss_of(without, own(3)) == pytest.approx(hardest)


def test_chance_is_the_margin_in_both_directions() -> None:
    assert float(MaxViolation(margin=0.3).chance(own(5, captions=2))) == pytest.approx(0.6)


def test_perfect_embeddings_have_no_loss() -> None:
    perfect = torch.eye(4)[[0, 0, 1, 2]]
    positive = perfect @ perfect.T > 0
    assert float(MaxViolation()(perfect, perfect, Targets(positive), UNUSED)["max_violation_loss"]) == 0


def test_only_violating_pairs_learn() -> None:
    images = unit(6, 8).requires_grad_()
    total = MaxViolation(margin=0.01)(images, unit(6, 8), own(6), UNUSED)["max_violation_loss"]
    total.backward()
    assert images.grad is not None
    assert images.grad.eq(0).all()


def test_bad_values_say_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match="0 < margin ≤ 2, not 0"):
        MaxViolation(margin=0)
    with pytest.raises(ConfigError, match="share of training"):
        MaxViolation(warm_up=2)
