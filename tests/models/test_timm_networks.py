"""Networks of timm: names, weights, and what is said when one of them does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from imtext.errors import ConfigError
from imtext.models.timm_networks import create_network, find_config

VIT = "vit_tiny_patch16_224"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Weights of a small network with its classifier of 10 classes."""
    weights: dict[str, Tensor] = timm.create_model("resnet10t", num_classes=10).state_dict()
    return weights


@pytest.mark.parametrize("form", ["weights.pth", "weights.safetensors", "checkpoint.pth"])
def test_weights_from_a_file_with_or_without_a_classifier(form: str, tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / form
    body = {key: value for key, value in state.items() if not key.startswith("fc.")}
    if form == "weights.safetensors":
        save_file(body, path)
    else:
        torch.save({"state_dict": state, "epoch": 3} if form == "checkpoint.pth" else state, path)
    network = create_network("resnet10t", str(path), None)
    torch.testing.assert_close(dict(network.state_dict()), body)
    assert "state_dict" not in network.pretrained_cfg  # type: ignore[operator]


def test_positions_of_another_size_are_interpolated(tmp_path: Path) -> None:
    whole = timm.create_model(VIT, img_size=64)
    torch.save(whole.state_dict(), tmp_path / "vit.pth")
    network: Any = create_network(VIT, str(tmp_path / "vit.pth"), 32)
    assert network.pos_embed.shape == (1, 5, 192)
    torch.testing.assert_close(network.blocks[3].state_dict(), whole.blocks[3].state_dict())


def test_weights_of_another_network_are_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = str(tmp_path / "weights.pth")
    torch.save(state, path)
    with pytest.raises(ConfigError, match=r'not those of resnet18: Missing key\(s\) in state_dict: "conv1.weight"$'):
        create_network("resnet18", path, None)
    torch.save({key: value for key, value in state.items() if key != "layer2.0.conv1.weight"}, path)
    with pytest.raises(ConfigError, match=r'not those of resnet10t: Missing key.* "layer2.0.conv1.weight"$'):
        create_network("resnet10t", path, None)
    torch.save(state | {"layer4.0.conv1.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(ConfigError, match=r"size mismatch for layer4.0.conv1.weight: .*3, 3"):
        create_network("resnet10t", path, None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tf_eficientnet_lite0", "Did you mean tf_efficientnet_lite0"),
        ("timm/resnet18", "no such network. Did you mean resnet18"),
        ("resnet18.none", "no weights none of resnet18; known: .*resnet18.a1_in1k"),
    ],
)
def test_unknown_names_get_suggestions(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_config(name)


def test_without_a_network_the_message_lists_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", unreachable)
    with pytest.raises(ConfigError, match=r"hf download timm/resnet10t\.c3_in1k model\.safetensors") as raised:
        create_network("resnet10t", "default", None)
    assert "model.image_encoder.weights=<path>" in str(raised.value)
    assert "model.image_encoder.weights=null" in str(raised.value)


def test_downloaded_weights_lose_their_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    published = timm.create_model("resnet10t").state_dict()
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *args, **options: dict(published))
    network = create_network("resnet10t", "default", None)
    torch.testing.assert_close(network.state_dict()["conv1.0.weight"], published["conv1.0.weight"])
    assert not [key for key in network.state_dict() if key.startswith("fc.")]


def test_a_network_without_published_weights_is_named() -> None:
    with pytest.raises(ConfigError, match=r"publishes no weights of darknet17\. Similar .*: none"):
        create_network("darknet17", "default", None)


@pytest.mark.parametrize(("name", "size"), [(VIT, 100), ("xcit_nano_12_p16_224", 100)])
def test_a_size_that_does_not_fit_is_refused(name: str, size: int) -> None:
    with pytest.raises(ConfigError, match=rf"model\.image_encoder\.image_size={size}: {name} c"):
        create_network(name, None, size)
