"""Both towers together."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from imtext.errors import ConfigError
from imtext.losses import InfoNCE, total_loss
from imtext.models import DualEncoder, LSTMEncoder, MobileNetV3Small
from imtext.preprocess.tokenizer import Vocabulary
from tests.losses.pairs import own

VOCABULARY = Vocabulary("words", size=20, pad_id=0, unk_id=1, max_length=8)


def tiny_model(**options: object) -> DualEncoder:
    torch.manual_seed(0)
    text = LSTMEncoder(word_dim=8, hidden_dim=8, vocabulary=VOCABULARY)
    return DualEncoder(MobileNetV3Small(None), text, **{"embed_dim": 16, **options})  # type: ignore[arg-type]


def test_embeddings_have_unit_length() -> None:
    model = tiny_model().eval()
    ids = torch.randint(1, 20, (6, 5))
    images, texts = model.encode_image(torch.randn(3, 3, 64, 64)), model.encode_text(ids, ids > 0)
    assert images.shape == (3, 16)
    assert texts.shape == (6, 16)
    torch.testing.assert_close(images.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(6))
    assert not torch.allclose(model.encode_text(ids, ids > 0, normalize=False).norm(dim=1), torch.ones(6))


@pytest.mark.parametrize("learn", [True, False])
def test_every_parameter_gets_a_gradient(learn: bool) -> None:
    model = tiny_model(learn_temperature=learn)
    ids = torch.randint(1, 20, (8, 5))
    images, texts = model.encode_image(torch.randn(4, 3, 64, 64)), model.encode_text(ids, ids > 0)
    total_loss(InfoNCE()(images, texts, own(4, 2), model.logit_scale)).backward()  # type: ignore[no-untyped-call]
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    assert ("logit_scale" in dict(model.named_parameters())) == learn
    assert "logit_scale" in model.state_dict()  # fixed or learnt, it is saved with the weights


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"dropout": 1.0}, {"embed_dim": 0}])
def test_bad_values_are_named(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        tiny_model(**options)


def test_a_picture_and_its_mirror_image_have_one_embedding() -> None:
    model = tiny_model(mirror=True).eval()
    image = torch.randn(2, 3, 64, 64)
    embedding = model.encode_image(image)
    torch.testing.assert_close(embedding, model.encode_image(image.flip(-1)))
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(2))
    assert not torch.allclose(model.train().encode_image(image), model.encode_image(image.flip(-1)))


def test_features_have_no_mirror_image() -> None:
    model = tiny_model(mirror=True)
    features = model.image_encoder.lower(torch.randn(2, 3, 64, 64), 9)
    assert model.train().encode_image(features, first_block=9).shape == (2, 16)
    with pytest.raises(ValueError, match="mirror=True needs pictures in evaluation, not the output of the first 9"):
        model.eval().encode_image(features, first_block=9)


def test_text_features_are_projected() -> None:
    model = tiny_model().eval()
    ids = torch.randint(1, 20, (6, 5))
    features = model.text_encoder(ids, ids > 0)
    for normalize in (True, False):
        expected = model.encode_text(ids, ids > 0, normalize)
        torch.testing.assert_close(model.encode_text_features(features, normalize), expected)


def test_every_parameter_has_a_group() -> None:
    model = tiny_model()
    groups = {name: model.parameter_group(name) for name, _ in model.named_parameters()}
    assert set(groups.values()) == {"image_encoder", "text_encoder", "projection"}
    assert groups["logit_scale"] == groups["text_projection.1.weight"] == "projection"
    assert groups["text_encoder.word_embedding.weight"] == "text_encoder"


def test_a_parameter_without_a_group_is_an_error() -> None:
    model = tiny_model()
    model.scorer = nn.Linear(2, 2)
    names = [name for name, _ in model.named_parameters()]
    with pytest.raises(ValueError, match=r"scorer\.weight has no group: override DualEncoder\.parameter_group"):
        [model.parameter_group(name) for name in names]


def test_temperature_stays_in_bounds() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.logit_scale.fill_(9.0)
    model.clamp_logit_scale()
    assert float(model.logit_scale.exp()) == pytest.approx(100)
    assert model.temperature == pytest.approx(0.01)
