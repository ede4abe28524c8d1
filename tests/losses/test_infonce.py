"""InfoNCE with several captions per image."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from imtext.errors import ConfigError
from imtext.losses import InfoNCE, Targets
from tests.losses.pairs import belonging, own, unit

BELONGS = [(0, 0), (0, 1), (1, 2)]  # image, caption
SCALE = torch.tensor(math.log(1 / 0.07))


def test_one_caption_per_image_is_clip() -> None:
    images, texts, ids = unit(6, 8), unit(6, 8, seed=1), torch.arange(6)
    logits = images @ texts.T / 0.07
    clip = (F.cross_entropy(logits, ids) + F.cross_entropy(logits.T, ids)) / 2
    loss = InfoNCE()(images, texts, own(6), SCALE)["infonce_loss"]
    torch.testing.assert_close(loss, clip)


def test_siblings_are_not_negatives() -> None:
    """Moving a caption towards its image must not make the image's other captions worse off."""
    images, texts = unit(3, 8), unit(6, 8, seed=1)
    ids, owner = torch.tensor([7, 3, 5]), torch.tensor([7, 7, 3, 3, 5, 5])

    def by_hand() -> Tensor:
        logits = images @ texts.T / 0.07
        total = torch.zeros(())
        for n in range(6):
            i = [7, 3, 5].index(int(owner[n]))
            total += logits[:, n].logsumexp(0) - logits[i, n]
            rivals = [m for m in range(6) if owner[m] != owner[n]] + [n]
            total += logits[i, rivals].logsumexp(0) - logits[i, n]
        return total / 12

    torch.testing.assert_close(InfoNCE()(images, texts, belonging(ids, owner), SCALE)["infonce_loss"], by_hand())


def test_siblings_find_each_other() -> None:
    """The text-to-text term, written out."""
    images, texts = unit(3, 8), unit(5, 8, seed=1)
    ids, owner = torch.tensor([7, 3, 5]), torch.tensor([7, 7, 7, 3, 5])  # 3 and 5 have no siblings
    logits = texts @ texts.T / 0.07
    pairs = [(n, m) for n in range(3) for m in range(3) if n != m]
    by_hand = sum(logits[n, [m, 3, 4]].logsumexp(0) - logits[n, m] for n, m in pairs) / len(pairs)
    terms = InfoNCE(text_weight=0.5)(images, texts, belonging(ids, owner), SCALE)
    torch.testing.assert_close(terms["text_loss"], 0.5 * torch.as_tensor(by_hand))
    torch.testing.assert_close(
        terms["infonce_loss"], InfoNCE()(images, texts, belonging(ids, owner), SCALE)["infonce_loss"]
    )


def test_no_siblings_no_text_loss() -> None:
    assert float(InfoNCE(text_weight=1)(unit(4, 8), unit(4, 8, seed=1), own(4), SCALE)["text_loss"]) == 0


def test_a_repeated_image_is_not_a_negative() -> None:
    """The same image twice in a batch: its captions belong to both."""
    images = unit(3, 8)[[0, 0, 1]]
    ids = torch.tensor([4, 4, 9])
    loss = InfoNCE()(images, images, belonging(ids, ids), torch.tensor(math.log(100.0)))
    assert loss["infonce_loss"] < 0.01


def test_a_shared_caption_belongs_to_all_its_images() -> None:
    """Perfect embeddings of two images with one caption, and of a third: nothing is left to learn."""
    images, texts = torch.eye(3)[[0, 0, 1]], torch.eye(3)[[0, 0, 1]]
    positive = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    cold = torch.tensor(math.log(100.0))
    assert float(InfoNCE()(images, texts, Targets(positive), cold)["infonce_loss"]) == pytest.approx(0, abs=1e-6)
    assert float(InfoNCE()(images, texts, own(3), cold)["infonce_loss"]) > 0.4  # as if they could be told apart


def test_captions_of_a_shared_image_are_siblings() -> None:
    """Caption 1 describes both images, so it is a sibling of both captions, which are none of each other."""
    texts = unit(3, 8)
    positive = torch.tensor([[1, 1, 0], [0, 1, 1]]).bool()
    logits = texts @ texts.T / 0.07
    pair = [(0, 1, 2), (2, 1, 0)]  # caption, sibling, negative; caption 1 has siblings only, and so a loss of zero
    by_hand = sum(logits[n, [m, k]].logsumexp(0) - logits[n, m] for n, m, k in pair) / 4
    terms = InfoNCE(text_weight=1)(unit(2, 8, seed=1), texts, Targets(positive), SCALE)
    torch.testing.assert_close(terms["text_loss"], torch.as_tensor(by_hand))


def test_label_smoothing_of_one_caption_per_image_is_that_of_torch() -> None:
    images, texts, ids = unit(6, 8), unit(6, 8, seed=1), torch.arange(6)
    logits = images @ texts.T / 0.07
    smooth = [F.cross_entropy(each, ids, label_smoothing=0.2) for each in (logits, logits.T)]
    loss = InfoNCE(label_smoothing=0.2)(images, texts, own(6), SCALE)["infonce_loss"]
    torch.testing.assert_close(loss, (smooth[0] + smooth[1]) / 2)


def test_label_smoothing_leaves_siblings_alone() -> None:
    """Image 0 with caption 0 against caption 2 and with caption 1 against caption 2; image 1 against both."""
    images, texts = unit(2, 8), unit(3, 8, seed=1)
    logits = images @ texts.T / 0.07
    rows = [logits[0, [0, 2]], logits[0, [1, 2]], logits[1, [2, 0, 1]], *(logits[[i, 1 - i], n] for i, n in BELONGS)]
    by_hand = sum(F.cross_entropy(row, torch.tensor(0), label_smoothing=0.1) for row in rows) / 6
    positive = torch.tensor([[1, 1, 0], [0, 0, 1]]).bool()
    loss = InfoNCE(label_smoothing=0.1)(images, texts, Targets(positive), SCALE)["infonce_loss"]
    torch.testing.assert_close(loss, torch.as_tensor(by_hand))


def test_hard_negatives_weigh_more() -> None:
    """Weights of exp(0.5 · logit), whose mean is 1, so that the number of negatives stays what it is."""
    images, texts = unit(5, 8), unit(5, 8, seed=1)
    logits = images @ texts.T / 0.07
    by_hand = torch.zeros(())
    for rows in (logits, logits.T):
        for n in range(5):
            negatives = torch.cat([rows[n, :n], rows[n, n + 1 :]])
            importance = (0.5 * negatives).exp()
            weighted = (importance / importance.mean() * negatives.exp()).sum()
            by_hand += (rows[n, n].exp() + weighted).log() - rows[n, n]
    loss = InfoNCE(hardness=0.5)(images, texts, own(5), SCALE)["infonce_loss"]
    torch.testing.assert_close(loss, by_hand / 10)
    plain = InfoNCE()(images, texts, own(5), SCALE)["infonce_loss"]
    assert loss > plain
    torch.testing.assert_close(InfoNCE(hardness=1e-6)(images, texts, own(5), SCALE)["infonce_loss"], plain)


def test_hardness_moves_the_gradient_to_the_hardest() -> None:
    """The weights are constants: easy negatives are still pushed away, only less."""

    def of_negatives(hardness: float) -> Tensor:
        images = torch.eye(4)[:1].requires_grad_()
        texts = torch.tensor([[1.0, 0, 0, 0], [0.5, 0.8660254, 0, 0], [0.1, 0, 0.9949874, 0]])
        InfoNCE(hardness=hardness)(images, texts, Targets(torch.tensor([[True, False, False]])), torch.tensor(1.0))[
            "infonce_loss"
        ].backward()
        assert images.grad is not None
        return images.grad[0, 1:3] / torch.tensor([0.8660254, 0.9949874])

    plain, hard = of_negatives(0), of_negatives(2)
    assert plain.gt(0).all()
    assert hard.gt(0).all()
    assert hard[0] / hard[1] > 2 * plain[0] / plain[1]


def test_bad_values_say_what_is_allowed() -> None:
    for name, value in (("text_weight", -1), ("label_smoothing", 1), ("hardness", -0.1)):
        with pytest.raises(ConfigError, match=f"loss.{name}.*not {value}"):
            InfoNCE(**{name: value})


def test_chance() -> None:
    assert float(InfoNCE().chance(own(32))) == pytest.approx(math.log(32))
    five = float(InfoNCE().chance(own(32, captions=5)))
    assert five == pytest.approx((math.log(32) + math.log(1 + 31 * 5)) / 2)


def test_gradients_are_finite_without_negatives() -> None:
    images = unit(1, 8).requires_grad_()
    loss = InfoNCE()(images, unit(2, 8, seed=1), own(1, captions=2), SCALE)["infonce_loss"]
    loss.backward()
    assert float(loss.detach()) == 0
    assert images.grad is not None
    assert images.grad.isfinite().all()
