"""Reading weights: from files, downloads, and parts of a state dict."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import MobileNet_V3_Small_Weights

from imtext.errors import ConfigError
from imtext.models.weights import load_weights, part_of, read_file, read_weights

PUBLISHED = MobileNet_V3_Small_Weights.DEFAULT


def test_a_file_is_read(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "weights.pth")
    assert read_weights(str(tmp_path / "weights.pth"), PUBLISHED)["a"].tolist() == [1, 1]


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no weights at .*none\.pth"):
        read_weights(str(tmp_path / "none.pth"), PUBLISHED)
    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_text("hello")
        with pytest.raises(ConfigError, match=rf"{name} is not a file of PyTorch weights"):
            read_weights(str(tmp_path / name), PUBLISHED)
    for content in ({"epoch": 3}, [torch.ones(2)]):
        torch.save(content, tmp_path / "other.pth")
        with pytest.raises(ConfigError, match=r"other\.pth contains no state dict"):
            read_weights(str(tmp_path / "other.pth"), PUBLISHED)


@pytest.mark.parametrize("entry", ["state_dict", "model"])
def test_a_state_dict_may_be_part_of_a_checkpoint(entry: str, tmp_path: Path) -> None:
    torch.save({entry: {"a": torch.ones(2)}, "epoch": 3}, tmp_path / "weights.pth")
    assert read_file(str(tmp_path / "weights.pth"))["a"].tolist() == [1, 1]


def test_a_module_called_model_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"model": torch.ones(2)}, tmp_path / "weights.pth")
    assert list(read_file(str(tmp_path / "weights.pth"))) == ["model"]


def test_a_file_of_safetensors_is_read(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "weights.safetensors")
    assert read_file(str(tmp_path / "weights.safetensors"))["a"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("state", "difference"),
    [
        ({}, r'Missing key\(s\) in state_dict: "weight"$'),
        ({"weight": torch.ones(1, 2), "bias": torch.ones(1), "a": torch.ones(1), "b": torch.ones(1)},
         r'Unexpected key\(s\) in state_dict: "a"$'),
        ({"weight": torch.ones(3, 2), "bias": torch.ones(1)}, r"size mismatch for weight: .*\[3, 2\].*\[1, 2\]"),
    ],
)  # fmt: skip
def test_the_first_difference_to_another_network_is_named(state: dict[str, Tensor], difference: str) -> None:
    with pytest.raises(ConfigError, match=rf"weights in file\.pth are not those of Net: {difference}"):
        load_weights(nn.Linear(2, 1), state, "file.pth", "Net")


def test_without_a_network_the_message_lists_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, **options: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(MobileNet_V3_Small_Weights, "get_state_dict", unreachable)
    with pytest.raises(
        ConfigError, match=r"download\n  https://.*\n.*\n  model\.image_encoder\.weights=<path>"
    ) as raised:
        read_weights("default", PUBLISHED)
    assert "model.image_encoder.weights=null" in str(raised.value)


def test_part_of_a_state_dict() -> None:
    one = torch.ones(1)
    assert part_of({"features.a": one, "classifier.b": one}, "features.") == {"a": one}
    assert part_of({"a": one}, "features.") == {"a": one}
