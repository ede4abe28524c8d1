"""A bundle that is not whole, not ours or not safe is refused with a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from imtext.errors import BundleError
from imtext.search import Bundle, Encoder, load_bundle, newest_bundle
from imtext.search.bundle import write_bundle


@pytest.fixture
def damaged(bundle: Bundle, tmp_path: Path) -> Path:
    return shutil.copytree(bundle.path, tmp_path / "bundle")


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_round_trip(bundle: Bundle) -> None:
    assert load_bundle(bundle.path) == bundle
    assert load_bundle(bundle.path.parent).fingerprint == bundle.fingerprint  # of a run's folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema=99), "schema 99, and this imtext reads 1"),
        (lambda m: m.pop("schema"), "schema None"),
        (lambda m: m.pop("embed_dim"), "lacks embed_dim"),
        (lambda m: m["files"].pop("text.onnx"), r"does not list text\.onnx"),
        (lambda m: m["files"].update({"../escape": m["files"]["text.onnx"]}), "not a plain file name"),
        (lambda m: m["preprocess"].update(image_size=64), "its fingerprint differs"),
    ],
)
def test_manifest_that_does_not_fit(damaged: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    edit(damaged, change)
    with pytest.raises(BundleError, match=message):
        load_bundle(damaged)


@pytest.mark.parametrize("name", ["image.onnx", "text.onnx", "tokenizer.json"])
def test_file_altered_or_missing(damaged: Path, name: str) -> None:
    content = bytearray((damaged / name).read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name} is not the file that was exported"):
        load_bundle(damaged)
    (damaged / name).unlink()
    with pytest.raises(BundleError, match=f"{name} cannot be read"):
        load_bundle(damaged)


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_manifest_that_is_none(damaged: Path, content: str) -> None:
    (damaged / "manifest.json").write_text(content)
    with pytest.raises(BundleError):
        load_bundle(damaged)


def test_external_data_outside_the_folder(damaged: Path, bundle: Bundle, tmp_path: Path) -> None:
    """A graph may say that its weights lie in any file of the machine; right hashes do not make that safe."""
    (tmp_path / "secret").write_bytes(bytes(4096))
    graph = onnx.load(str(damaged / "text.onnx"))
    for tensor in graph.graph.initializer:
        if len(tensor.raw_data) in range(64, 4096):
            size = len(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", "../secret"), ("offset", "0"), ("length", str(size))):
                tensor.external_data.add(key=key, value=value)
            break
    files = {name: (damaged / name).read_bytes() for name in bundle.manifest["files"]}
    facts = {key: value for key, value in bundle.manifest.items() if key not in ("schema", "files", "fingerprint")}
    evil = write_bundle(tmp_path / "evil", files | {"text.onnx": graph.SerializeToString()}, facts)
    with pytest.raises(BundleError, match=r"text\.onnx"):
        Encoder(evil).encode_texts(["a"])


def test_newest(damaged: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"Train first.*--bundle"):
        newest_bundle(tmp_path / "nothing")
    shutil.copytree(damaged, tmp_path / "runs/train/2/bundle")
    assert newest_bundle(tmp_path / "runs") == tmp_path / "runs/train/2/bundle"


def test_other_files_are_never_replaced(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(BundleError, match="holds other files"):
        write_bundle(tmp_path, {}, bundle.manifest)


def test_text_of_any_kind(encoder: Encoder) -> None:
    texts = ["", " ", "🐕 كلب", "\0\n\t", "x" * 5000, "\udce9", "[PAD] [EOS]"]
    embeddings = encoder.encode_texts(texts)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert encoder.unknown_words("a red zebra") == ["zebra"]
