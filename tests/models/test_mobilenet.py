"""MobileNetV3-Small: its features, its weights and their names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v3_small

from imtext.errors import ConfigError
from imtext.models import MobileNetV3Small
from imtext.preprocess import Preprocess


def test_features_are_the_pooled_last_convolution() -> None:
    torch.manual_seed(0)
    whole = mobilenet_v3_small(weights=None).eval()
    tower = MobileNetV3Small(None).eval()
    tower.features.load_state_dict(whole.features.state_dict())
    image = torch.randn(2, 3, 64, 64)
    features = tower(image)
    assert features.shape == (2, tower.num_features)
    torch.testing.assert_close(features, whole.avgpool(whole.features(image)).flatten(1))


def test_names_in_the_state_dict_are_those_of_earlier_checkpoints() -> None:
    names = {f"features.{name}" for name in mobilenet_v3_small(weights=None).features.state_dict()}
    assert set(MobileNetV3Small(None).state_dict()) == names


@pytest.mark.parametrize("part", ["whole", "features"])
def test_weights_from_a_file(tmp_path: Path, part: str) -> None:
    network = mobilenet_v3_small(weights=None)
    torch.save((network if part == "whole" else network.features).state_dict(), tmp_path / "weights.pth")
    tower = MobileNetV3Small(str(tmp_path / "weights.pth"))
    torch.testing.assert_close(tower.features.state_dict(), network.features.state_dict())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="not those of MobileNetV3-Small"):
        MobileNetV3Small(str(tmp_path / "other.pth"))


def test_batch_statistics_follow_random_weights_faster() -> None:
    norms = [module for module in MobileNetV3Small(None).modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}


def test_preprocessing_is_that_of_imagenet() -> None:
    assert MobileNetV3Small(None).preprocess == Preprocess(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
