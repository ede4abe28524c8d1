"""timm's networks as image towers: what they expect, and their settings."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from imtext.config.signatures import names_of, settings_of
from imtext.errors import ConfigError, MissingExtraError
from imtext.models.timm_encoder import TimmEncoder
from imtext.preprocess import Preprocess


def test_preprocessing_is_that_of_the_weights() -> None:
    half = (0.5, 0.5, 0.5)
    assert TimmEncoder("tf_efficientnet_lite0", None).preprocess == Preprocess(224, half, half)
    assert TimmEncoder("vit_small_patch14_dinov2.lvd142m", None).preprocess.image_size == 518
    assert TimmEncoder("resnet18", None, image_size=96).preprocess.image_size == 96
    assert TimmEncoder("resnet18.tv_in1k", None).preprocess.interpolation == "bilinear"


def test_only_the_network_is_in_the_state_dict() -> None:
    tower = TimmEncoder("vit_tiny_patch16_224", None, image_size=32)
    assert set(tower.state_dict()) == {f"network.{name}" for name in tower.network.state_dict()}


def test_a_transformer_takes_one_size() -> None:
    tower = TimmEncoder("vit_tiny_patch16_224", None, image_size=32)
    with pytest.raises(ConfigError, match=r"pictures of 32 pixels, not 64: .*model\.image_encoder\.image_size"):
        tower(torch.zeros(1, 3, 64, 64))


def test_settings_rebuild_the_tower() -> None:
    tower = TimmEncoder("vit_tiny_patch16_224", None, image_size=32)
    again = TimmEncoder(**{"name": "vit_tiny_patch16_224", "weights": None, **tower.settings_without_files()})
    again.load_state_dict(tower.state_dict())
    assert again.preprocess == tower.preprocess


def test_batch_statistics_follow_random_weights_faster_and_can_be_kept() -> None:
    tower = TimmEncoder("tf_efficientnet_lite0", None, train_batch_norm=False)
    norms = [module for module in tower.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}
    tower.train()
    assert len(norms) == 49
    assert not any(norm.training for norm in norms)


def test_settings_are_known_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("imtext.models.timm_")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "timm", None)
    from imtext.models.timm_encoder import TimmEncoder as WithoutTimm

    assert names_of(settings_of(WithoutTimm)) == ["name", "weights", "train_batch_norm", "image_size"]
    with pytest.raises(MissingExtraError, match=r"imtext\[timm\]"):
        WithoutTimm("resnet18", None)
