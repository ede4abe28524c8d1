"""torchvision's Vision Transformer in blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer as Network

from imtext.errors import ConfigError
from imtext.models.tower import check_tower
from imtext.models.vit import VisionTransformer
from imtext.preprocess import Preprocess


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of three layers and 24 features in place of torchvision's."""

    def build(name: str, weights: None, image_size: int) -> Network:
        network = Network(image_size, int(name[-2:]), num_layers=3, num_heads=2, hidden_dim=24, mlp_dim=32)
        nn.init.normal_(network.class_token)
        return network

    monkeypatch.setattr("imtext.models.vit.get_model", build)


def test_blocks_compute_what_the_network_computes() -> None:
    tower, image = VisionTransformer("vit_b_16", None, image_size=64).eval(), torch.randn(2, 3, 64, 64)
    check_tower(tower)
    assert set(tower.state_dict()) == {f"network.{name}" for name in tower.network.state_dict()}
    with torch.no_grad():
        expected = tower.network(image)
        assert expected.shape == (2, tower.num_features)
        for number in range(6):
            torch.testing.assert_close(tower(tower.lower(image, number), number), expected)
        tokens = tower.tokens(image)
    assert tokens.shape == (2, 16, tower.num_token_features)
    torch.testing.assert_close(tokens.mean(dim=-1), torch.zeros(2, 16), atol=1e-5, rtol=0)  # after the last norm


def test_frozen_blocks_do_not_learn() -> None:
    tower = VisionTransformer("vit_b_16", None, image_size=32)
    tower.freeze(3)
    learning = {name.split(".")[1:4][-1] for name, value in tower.named_parameters() if value.requires_grad}
    assert learning == {"encoder_layer_2", "weight", "bias"}
    assert not tower.network.class_token.requires_grad


@pytest.mark.parametrize("size", [32, 64])
def test_weights_from_a_file(size: int, tmp_path: Path) -> None:
    network: Any = Network(32, 16, num_layers=3, num_heads=2, hidden_dim=24, mlp_dim=32)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    tower = VisionTransformer("vit_b_16", str(tmp_path / "weights.pth"), image_size=size)
    torch.testing.assert_close(tower.network.encoder.layers.state_dict(), network.encoder.layers.state_dict())
    assert tower.network.encoder.pos_embedding.shape == (1, (size // 16) ** 2 + 1, 24)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r'not those of vit_b_16: Missing key\(s\) in state_dict: "class_token"'):
        VisionTransformer("vit_b_16", str(tmp_path / "other.pth"))


def test_a_size_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"image_size=100: vit_b_32 cuts .* multiple, such as 96"):
        VisionTransformer("vit_b_32", None, image_size=100)
    with pytest.raises(ConfigError, match="pictures of 32 pixels, not 64"):
        VisionTransformer("vit_b_32", None, image_size=32)(torch.zeros(1, 3, 64, 64))


def test_preprocessing_is_that_of_the_weights() -> None:
    assert VisionTransformer("vit_b_16", None).preprocess == Preprocess(interpolation="bilinear")
