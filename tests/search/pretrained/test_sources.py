"""Where models come from, and how their layout is recognised."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.errors import BundleError
from imtext.search.pretrained.sources import Source, default_output, open_source, repository_of
from tests.exported import Exported


def test_folder(immich: Exported) -> None:
    source = open_source(str(immich.folder))
    assert (source.folder, source.name, source.extra) == (immich.folder, str(immich.folder), None)
    assert "visual/model.onnx" in source.files
    assert source.fetch(["visual/model.onnx"]) == immich.folder


@pytest.mark.parametrize(
    ("files", "title", "extra"),
    [
        (["visual/preprocess_cfg.json"], "immich-app", None),
        (["onnx/text_model_fp16.onnx", "config.json", "model.safetensors"], "transformers.js", None),
        (["open_clip_config.json", "open_clip_model.safetensors", "config.json"], None, "open-clip"),
        (["config.json", "model.safetensors"], None, "hf"),
        (["config.json", "pytorch_model.bin", "onnx/model.onnx"], None, "hf"),
        (["config.json"], None, None),
        (["README.md"], None, None),
    ],
)
def test_layouts(files: list[str], title: str | None, extra: str | None) -> None:
    source = Source("owner/model", frozenset(files))
    assert (source.layout and source.layout.title, source.extra) == (title, extra)


def test_names() -> None:
    assert repository_of("clip-b32") == repository_of("immich-app/ViT-B-32__openai") == "immich-app/ViT-B-32__openai"
    assert repository_of("nothing") is repository_of("a/b/c") is repository_of("../up/there") is None
    with pytest.raises(BundleError, match=r"nothing is no folder, no owner/name .* recommended model: laion-b32, "):
        open_source("nothing")


def test_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imtext.search.pretrained.sources.hub_files", lambda name: [f"visual/{name}"])
    source = open_source("clip-b32")
    assert (source.name, source.folder) == ("immich-app/ViT-B-32__openai", None)
    monkeypatch.setattr("imtext.search.pretrained.sources.download", lambda name, files: Path(name, *files))
    assert source.fetch(["a"]) == Path("immich-app/ViT-B-32__openai/a")


def test_messages() -> None:
    assert "is a bundle already. Use it with --bundle hf://it" in str(
        Source("it", frozenset(["manifest.json"])).unknown()
    )
    assert "OpenCLIP (open_clip_config.json)" in str(Source("it", frozenset()).unknown())


def test_default_output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    bundles = tmp_path / "imtext" / "bundles"
    assert default_output("clip-b32") == bundles / "clip-b32"
    assert default_output("owner/model") == bundles / "owner--model"
    (tmp_path / "model").mkdir()
    assert default_output(str(tmp_path / "model")) == bundles / "model"
