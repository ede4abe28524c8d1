"""Pretrained dual encoders are found by folder, by a name of the hub, and by a name of open_clip."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from imtext.errors import ConfigError
from imtext.models.clip.source import find, text_length
from tests.models.clip.folders import write


def test_the_layout_of_a_folder(folders: dict[str, Path]) -> None:
    for kind, folder in folders.items():
        source = find(str(folder))
        assert source.layout == ("open_clip" if kind == "open_clip" else "transformers")
        assert source.folder == folder


def test_a_folder_with_the_files_of_both_is_read_by_transformers(tmp_path: Path) -> None:
    write(tmp_path / "config.json", {"model_type": "clip"})
    write(tmp_path / "open_clip_config.json", {"model_cfg": {}})
    assert find(str(tmp_path)).layout == "open_clip"  # transformers has no weights here
    (tmp_path / "model.safetensors").touch()
    assert find(str(tmp_path)).layout == "transformers"


def test_the_length_of_texts(folders: dict[str, Path]) -> None:
    lengths = {kind: text_length(find(str(folder)).architecture()) for kind, folder in folders.items()}
    assert lengths == {"clip": (16, False), "siglip": (12, True), "open_clip": (16, False)}
    source = find(str(folders["clip"]))
    assert source.tokenizer(source.architecture(), 8).vocabulary.max_length == 8
    source = find(str(folders["siglip"]))
    assert source.tokenizer(source.architecture(), 8).vocabulary.max_length == 12  # it knows no other


def test_a_name_and_a_tag_of_open_clip() -> None:
    source = find("ViT-B-32/laion2b_s34b_b79k")
    assert (source.layout, source.folder) == ("open_clip", None)
    architecture = source.architecture()
    assert architecture["config"]["quick_gelu"] is False
    assert architecture["preprocess"]["image_size"] == 224
    assert find("ViT-B-32/openai").architecture()["config"]["quick_gelu"] is True
    assert source.tokenizer(architecture, 64).vocabulary.size == 49408
    with pytest.raises(ConfigError, match="no weights 'best' of ViT-B-32; there are openai, "):
        find("ViT-B-32/best").architecture()


def test_a_name_of_the_hub_is_downloaded(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, list[str]]] = []

    def download(name: str, allow_patterns: list[str], **_: Any) -> str:
        asked.append((name, allow_patterns))
        return str(folders["clip"])

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    source = find("owner/name")
    assert source.layout == "transformers"
    source.parts(source.architecture())
    assert asked == [
        ("owner/name", ["*.json", "*.txt", "*.model"]),
        ("owner/name", ["model*.safetensors", "model.safetensors.index.json"]),
    ]


def test_a_name_that_the_hub_does_not_know_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise OSError("no connection")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(ConfigError, match=r"model\.name=owner/name: there is no folder .*OSError.*config\.json"):
        find("owner/name")


@pytest.mark.parametrize(
    ("name", "message"), [(None, r"model\.name is needed"), ("./nowhere", r"\./nowhere: there is no such folder")]
)
def test_what_is_missing_is_named(name: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find(name)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no dual encoder"):
        find(str(tmp_path))


def test_what_else_the_cache_holds_does_not_decide_the_layout_of_a_model_of_the_hub(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = shutil.copytree(folders["open_clip"], tmp_path / "both")
    shutil.copy(folders["clip"] / "config.json", both)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(both))
    assert find("owner/name").layout == "open_clip"
    (both / "model.safetensors").touch()
    assert find("owner/name").layout == "open_clip"
    assert find(str(both)).layout == "transformers"
