"""Both towers together, and the image tower's weights."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torchvision.models import MobileNet_V3_Small_Weights, mobilenet_v3_small

from imtext.errors import ConfigError
from imtext.losses.infonce import InfoNCE
from imtext.models import DualEncoder, LSTMEncoder, MobileNetV3Small


def tiny_model(**options: object) -> DualEncoder:
    torch.manual_seed(0)
    text = LSTMEncoder(20, word_dim=8, hidden_dim=8)
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
    InfoNCE()(images, texts, torch.arange(4), torch.arange(8) // 2, model.logit_scale)["infonce_loss"].backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    assert ("logit_scale" in dict(model.named_parameters())) == learn
    assert "logit_scale" in model.state_dict()  # fixed or learnt, it travels with the weights


def test_features_are_the_pooled_last_convolution() -> None:
    torch.manual_seed(0)
    whole = mobilenet_v3_small(weights=None).eval()
    tower = MobileNetV3Small(None).eval()
    tower.features.load_state_dict(whole.features.state_dict())
    image = torch.randn(2, 3, 64, 64)
    features = tower(image)
    assert features.shape == (2, tower.num_features)
    torch.testing.assert_close(features, whole.avgpool(whole.features(image)).flatten(1))


@pytest.mark.parametrize("part", ["whole", "features"])
def test_weights_from_a_file(tmp_path: Path, part: str) -> None:
    network = mobilenet_v3_small(weights=None)
    torch.save((network if part == "whole" else network.features).state_dict(), tmp_path / "weights.pth")
    tower = MobileNetV3Small(str(tmp_path / "weights.pth"))
    torch.testing.assert_close(tower.features.state_dict(), network.features.state_dict())


def test_bad_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no weights at"):
        MobileNetV3Small(str(tmp_path / "none.pth"))
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ConfigError, match="not a file of PyTorch weights"):
        MobileNetV3Small(str(tmp_path / "text.pth"))
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="not MobileNetV3-Small's"):
        MobileNetV3Small(str(tmp_path / "other.pth"))


def test_offline_says_how_to_get_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, **options: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(MobileNet_V3_Small_Weights, "get_state_dict", unreachable)
    with pytest.raises(ConfigError, match=r"model\.image_encoder\.weights=<path>"):
        MobileNetV3Small("default")


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"dropout": 1.0}, {"embed_dim": 0}])
def test_bad_values_are_named(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        tiny_model(**options)


def test_mirror_images_are_one_to_a_model_that_mirrors() -> None:
    model = tiny_model(mirror=True).eval()
    image = torch.randn(2, 3, 64, 64)
    one, other = model.encode_image(image), model.encode_image(image.flip(-1))
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(one.norm(dim=1), torch.ones(2))
    assert not torch.allclose(model.train().encode_image(image), model.encode_image(image.flip(-1)))
