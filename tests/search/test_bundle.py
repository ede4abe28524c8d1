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
from imtext.search.bundle import _seal, write_bundle


@pytest.fixture
def damaged(bundle: Bundle, tmp_path: Path) -> Path:
    return shutil.copytree(bundle.path, tmp_path / "bundle")


def edit(folder: Path, change: Callable[[dict[str, Any]], object], seal: bool = False) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    if seal:
        manifest["sha256"] = _seal(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_round_trip(bundle: Bundle) -> None:
    assert load_bundle(bundle.path) == bundle
    assert load_bundle(bundle.path.parent).fingerprint == bundle.fingerprint  # of a run's folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema=99), "schema 99, and this imtext reads 1"),
        (lambda m: m.pop("schema"), "schema None"),
        (lambda m: m.pop("embed_dim"), r"not as imtext writes it.*embed_dim"),
        (lambda m: m.update(embed_dim="many"), r"not as imtext writes it.*many"),
        (lambda m: m["files"].pop("text.onnx"), r"not as imtext writes it.*text\.onnx"),
        (lambda m: m["files"]["text.onnx"].pop("sha256"), r"not as imtext writes it.*sha256"),
        (lambda m: m.update(files=["image.onnx", "text.onnx", "tokenizer.json"]), "not as imtext writes it"),
        (lambda m: m["calibration"].pop("bias"), r"not as imtext writes it.*bias"),
        (lambda m: m["calibration"].update(more=1), r"not as imtext writes it.*more"),
        (lambda m: m["preprocess"].update(image_size=8), r"not as imtext writes it.*image_size"),
        (lambda m: m["files"].update({"../escape": m["files"]["text.onnx"]}), "not a plain file name"),
    ],
)
def test_manifest_that_does_not_fit(damaged: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    edit(damaged, change, seal=True)
    with pytest.raises(BundleError, match=message):
        load_bundle(damaged)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(embed_dim=33),
        lambda m: m.update(metrics={"val/t2i_r@10": 1.0}),
        lambda m: m["calibration"].update(bias=50.0),
        lambda m: m["preprocess"].update(image_size=64),
        lambda m: m.pop("name"),
        lambda m: m.pop("sha256"),
    ],
)
def test_altered_manifest(damaged: Path, change: Callable[[dict[str, Any]], object]) -> None:
    edit(damaged, change)
    with pytest.raises(BundleError, match=r"has been altered.*its hash differs\. Export it again"):
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


@pytest.mark.parametrize("location", ["../secret", "secret"])
def test_external_data(
    damaged: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    """A graph may say that its weights lie in another file of the machine; right hashes do not make that safe."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")  # where ONNX Runtime would look
    for secret in (tmp_path / "secret", tmp_path / "here" / "secret"):
        secret.write_bytes(bytes(4096))
    graph = onnx.load(str(damaged / "text.onnx"))
    for tensor in graph.graph.initializer:
        if len(tensor.raw_data) in range(64, 4096):
            size = len(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", location), ("offset", "0"), ("length", str(size))):
                tensor.external_data.add(key=key, value=value)
            break
    files = {name: (damaged / name).read_bytes() for name in bundle.manifest["files"]}
    facts = {key: value for key, value in bundle.manifest.items() if key not in ("schema", "files", "fingerprint")}
    with pytest.raises(BundleError, match=r"text\.onnx takes data from other files"):
        write_bundle(tmp_path / "evil", files | {"text.onnx": graph.SerializeToString()}, facts)
    with pytest.raises(BundleError, match=r"text\.onnx takes data from other files"):
        load_bundle(tmp_path / "evil")


def test_graph_of_another_size(bundle: Bundle, tmp_path: Path) -> None:
    files = {name: bundle.read(name) for name in bundle.manifest["files"]}
    wrong = Encoder(write_bundle(tmp_path / "wrong", files, {**bundle.manifest, "embed_dim": 33}))
    with pytest.raises(BundleError, match=r"text\.onnx gives embeddings of 32 numbers, and the manifest says 33"):
        wrong.encode_texts(["a"])
    with pytest.raises(BundleError, match=r"image\.onnx gives embeddings of 32 numbers"):
        wrong.encode_images([np.zeros((32, 32, 3), np.uint8)])


def test_newest(damaged: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"Train first.*--bundle"):
        newest_bundle(tmp_path / "nothing")
    shutil.copytree(damaged, tmp_path / "runs/train/2/bundle")
    copy = shutil.copytree(damaged, tmp_path / "runs/mlflow-artifacts/0123/artifacts/bundle")
    (copy / "manifest.json").touch()  # written last, and no run's name is in its path
    assert newest_bundle(tmp_path / "runs") == tmp_path / "runs/train/2/bundle"


def test_other_files_are_never_replaced(bundle: Bundle, tmp_path: Path) -> None:
    files = {name: bundle.read(name) for name in bundle.manifest["files"]}
    for manifest in (None, '{"name": "a web page", "start_url": "/"}', (bundle.path / "manifest.json").read_text()):
        (tmp_path / "holiday.jpg").touch()
        if manifest is not None:
            (tmp_path / "manifest.json").write_text(manifest)
        with pytest.raises(BundleError, match="holds other files"):
            write_bundle(tmp_path, files, bundle.manifest)
        assert (tmp_path / "holiday.jpg").exists()
    (tmp_path / "holiday.jpg").unlink()
    (tmp_path / ".DS_Store").touch()
    assert write_bundle(tmp_path, files, bundle.manifest).fingerprint == bundle.fingerprint, "of a bundle, a new one"


def test_text_of_any_kind(encoder: Encoder) -> None:
    texts = ["", " ", "🐕 كلب", "\0\n\t", "x" * 5000, "\udce9", "[PAD] [EOS]"]
    embeddings = encoder.encode_texts(texts)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert encoder.tokenizer.unknown_words("a red zebra") == ["zebra"]
