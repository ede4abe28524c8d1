"""Folders of transformers: architecture, preprocessing, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from imtext.errors import ConfigError
from imtext.models.clip.transformers_layout import build, check_type, read_architecture, read_json, read_preprocess
from imtext.preprocess import Preprocess
from tests.models.clip.folders import write


def test_an_architecture_is_plain(folders: dict[str, Path]) -> None:
    for kind in ("clip", "siglip"):
        found = read_architecture(folders[kind])
        assert json.loads(json.dumps(found)) == found
        assert found["config"]["model_type"] == kind


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Preprocess(32, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711), "crop")),
        (
            {"size": 32, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.25] * 3},
            Preprocess(32, (0.5,) * 3, (0.25,) * 3, "crop", "bilinear"),
        ),
        (
            {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 1},
            Preprocess(32, (0.5,) * 3, (0.5,) * 3, "squash", "lanczos"),
        ),
    ],
)
def test_preprocessing(tmp_path: Path, settings: dict[str, Any], expected: Preprocess) -> None:
    config = {"model_type": "clip", "vision_config": {"image_size": 32}}
    write(tmp_path / "preprocessor_config.json", settings)
    assert read_preprocess(tmp_path, config) == expected
    (tmp_path / "preprocessor_config.json").unlink()
    write(tmp_path / "processor_config.json", {"image_processor": settings})
    assert read_preprocess(tmp_path, config) == expected


def test_siglip_without_a_processor_squashes(tmp_path: Path) -> None:
    found = read_preprocess(tmp_path, {"model_type": "siglip", "vision_config": {"image_size": 64}})
    assert found == Preprocess(64, (0.5,) * 3, (0.5,) * 3, "squash")


@pytest.mark.parametrize(
    ("kind", "message"),
    [("siglip2", "variable resolution"), ("bert", "type 'bert'"), (None, "reads clip, metaclip_2, siglip")],
)
def test_other_models_are_refused(kind: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_type({"model_type": kind}, Path("folder"))


def test_weights_that_can_run_code_are_not_read(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["clip"], tmp_path / "copy")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"only reads\s+model\.safetensors"):
        build(read_architecture(folder), folder)


def test_weights_of_another_network_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["clip"], tmp_path / "copy")
    config = read_json(folder / "config.json")
    config["text_config"]["num_hidden_layers"] = 3
    write(folder / "config.json", config)
    with pytest.raises(ConfigError, match=r"lacks 16 weights of its network, such as text_model\.encoder\.layers\.2"):
        build(read_architecture(folder), folder)


def test_broken_settings_are_named(tmp_path: Path) -> None:
    assert read_json(tmp_path / "config.json", optional=True) == {}
    with pytest.raises(ConfigError, match=r"config\.json cannot be read"):
        read_json(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ConfigError, match="holds no settings"):
        read_json(tmp_path / "config.json")
