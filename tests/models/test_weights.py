"""Reading weights: from files, downloads, and parts of a state dict."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torchvision.models import MobileNet_V3_Small_Weights

from imtext.errors import ConfigError
from imtext.models.weights import part_of, read_weights

PUBLISHED = MobileNet_V3_Small_Weights.DEFAULT


def test_a_file_is_read(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "weights.pth")
    assert read_weights(str(tmp_path / "weights.pth"), PUBLISHED)["a"].tolist() == [1, 1]


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no weights at .*none\.pth"):
        read_weights(str(tmp_path / "none.pth"), PUBLISHED)
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ConfigError, match=r"text\.pth is not a file of PyTorch weights"):
        read_weights(str(tmp_path / "text.pth"), PUBLISHED)


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
