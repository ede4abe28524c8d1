"""The correction of hubs as a part of embeddings."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from imtext.errors import ConfigError
from imtext.models.hubness import LIMIT, HubnessCorrection, Queries

SIZE, DIM = 5, 8


def unit(count: int, seed: int) -> Tensor:
    return F.normalize(torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed)) + 2, dim=1)


def queries(seed: int) -> Queries:
    return Queries(unit(40, seed), unit(SIZE, seed + 1), torch.tensor([0.3, 0.2, 0.3, 0.1, 0.1]))


@pytest.fixture
def correction() -> HubnessCorrection:
    found = HubnessCorrection(SIZE, DIM)
    found.use(queries(1), queries(5), temperature=0.1)
    return found


def test_the_dot_product_is_the_corrected_similarity(correction: HubnessCorrection) -> None:
    images, texts = unit(6, 10), unit(7, 11)
    ours = correction.forward_images(images) @ correction.forward_texts(texts).T
    bank, weight = queries(5).bank, queries(5).weight  # pictures are compared with texts
    of_images = 0.1 * (weight * (images @ bank.T / 0.1).exp()).sum(1).log()
    bank, weight = queries(1).bank, queries(1).weight
    of_texts = 0.1 * (weight * (texts @ bank.T / 0.1).exp()).sum(1).log()
    expected = images @ texts.T - of_images[:, None] - of_texts[None]
    shift = (ours * (1 + 2 * LIMIT) - expected).flatten()  # the mean penalties
    assert shift == pytest.approx(shift.mean().item(), abs=1e-4)


def test_all_embeddings_have_unit_length(correction: HubnessCorrection) -> None:
    far = torch.cat([unit(50, 3), queries(1).bank, -queries(5).bank])  # some reach the largest correction
    for joined in (correction.forward_images(far), correction.forward_texts(far)):
        assert joined.shape == (len(far), DIM + 4)
        assert joined.norm(dim=1) == pytest.approx(1, abs=1e-5)
    assert correction.penalty(far, 0).abs().max() <= LIMIT


def test_penalties_of_the_training_split_have_mean_zero() -> None:
    correction = HubnessCorrection(SIZE, DIM)
    correction.use(queries(1), queries(5), temperature=1.0)  # so soft that no penalty reaches the limit
    assert correction.penalty(queries(1).embeddings, 1).mean() == pytest.approx(0, abs=1e-5)
    assert correction.penalty(queries(5).embeddings, 0).mean() == pytest.approx(0, abs=1e-5)


def test_a_hub_is_found_less_often() -> None:
    """One picture lies in the middle of all captions, the others each beside one caption."""
    texts = F.normalize(torch.eye(DIM) + 1, dim=1)
    own = F.normalize(torch.eye(DIM) + 0.05, dim=1)
    images = torch.cat([own, F.normalize(torch.ones(1, DIM), dim=1)])
    assert (texts @ images.T).argmax(1).tolist() == [DIM] * DIM
    share = torch.full((DIM,), 1 / DIM)
    correction = HubnessCorrection(DIM, DIM)
    correction.use(Queries(own, own, share), Queries(texts, texts, share), temperature=0.1)
    corrected = correction.forward_texts(texts) @ correction.forward_images(images).T
    assert corrected.argmax(1).tolist() == list(range(DIM))


def test_it_is_saved(correction: HubnessCorrection) -> None:
    again = HubnessCorrection(SIZE, DIM)
    again.load_state_dict(correction.state_dict())
    assert again.fitted
    assert again.forward_images(unit(3, 1)).equal(correction.forward_images(unit(3, 1)))


def test_it_is_forgotten(correction: HubnessCorrection) -> None:
    correction.reset()
    assert not correction.fitted


def test_weights_that_were_not_fitted(correction: HubnessCorrection) -> None:
    correction.load_state_dict(HubnessCorrection(SIZE, DIM).state_dict())
    assert not correction.fitted


def test_similar_pictures_stay_similar(correction: HubnessCorrection) -> None:
    images = unit(30, 2)
    plain, corrected = images @ images.T, correction.forward_images(images) @ correction.forward_images(images).T
    assert corrected.diagonal() == pytest.approx(1, abs=1e-5)
    assert torch.corrcoef(torch.stack([plain.flatten(), corrected.flatten()]))[0, 1] > 0.9


def test_bad_size() -> None:
    from imtext.models import BagOfWords, DualEncoder, MobileNetV3Small
    from imtext.preprocess.tokenizer import Vocabulary

    text = BagOfWords(word_dim=4, vocabulary=Vocabulary("words", 10, 0, 1, 8))
    with pytest.raises(ConfigError, match="hubness_bank must be 0 or more"):
        DualEncoder(MobileNetV3Small(None), text, hubness_bank=-1)
