"""MobileNetV3-Small: its features, its weights and their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v3_large, mobilenet_v3_small

from imtext.errors import ConfigError
from imtext.models import ImageEncoder, MobileNetV3Large, MobileNetV3Small
from imtext.models.tower import check_tower
from imtext.preprocess import Preprocess

by_size = pytest.mark.parametrize(
    ("kind", "build", "blocks"),
    [(MobileNetV3Small, mobilenet_v3_small, 14), (MobileNetV3Large, mobilenet_v3_large, 18)],
)


@by_size
def test_features_are_the_pooled_last_convolution(kind: type[Any], build: Callable[..., Any], blocks: int) -> None:
    torch.manual_seed(0)
    whole = build(weights=None).eval()
    torch.manual_seed(0)
    tower: ImageEncoder = kind(None).eval()  # the same seed gives the same weights
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = tower(image)
        assert features.shape == (2, tower.num_features)
        torch.testing.assert_close(features, whole.avgpool(whole.features(image)).flatten(1))
        tokens = tower.tokens(image)
    assert tokens.shape == (2, 4, tower.num_token_features)
    torch.testing.assert_close(tokens.mean(dim=1), features)
    assert len(tower.blocks) == blocks
    check_tower(tower)


@by_size
def test_names_in_the_state_dict_are_those_of_earlier_checkpoints(
    kind: type[Any], build: Callable[..., Any], blocks: int
) -> None:
    names = {f"features.{name}" for name in build(weights=None).features.state_dict()}
    assert set(kind(None).state_dict()) == names


@pytest.mark.parametrize("part", ["whole", "features"])
def test_weights_from_a_file(tmp_path: Path, part: str) -> None:
    network = mobilenet_v3_small(weights=None)
    torch.save((network if part == "whole" else network.features).state_dict(), tmp_path / "weights.pth")
    tower = MobileNetV3Small(str(tmp_path / "weights.pth"))
    torch.testing.assert_close(tower.features.state_dict(), network.features.state_dict())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r'not those of MobileNetV3-Small: Missing key.* "0\.0\.weight"$'):
        MobileNetV3Small(str(tmp_path / "other.pth"))


def test_batch_statistics_follow_random_weights_faster() -> None:
    norms = [module for module in MobileNetV3Small(None).modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}


def test_preprocessing_is_that_of_imagenet() -> None:
    assert MobileNetV3Small(None).preprocess == Preprocess(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
