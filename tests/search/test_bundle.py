"""Bundles are written completely, and refused with a reason if they are damaged or unsafe."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imtext.errors import BundleError
from imtext.search import Bundle, Encoder, Index, load_bundle, parse_query
from imtext.search.bundle import calibrate_bundle, copy_bundle, write_bundle
from imtext.search.manifest import seal
from tests.conftest import changed_bundle
from tests.damage import damaged as damage
from tests.damage import fuzzed


@pytest.fixture
def damaged(bundle: Bundle, tmp_path: Path) -> Path:
    return shutil.copytree(bundle.path, tmp_path / "bundle")


def edit(folder: Path, change: Callable[[dict[str, Any]], object], sealed: bool = False) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(seal(manifest) if sealed else manifest))


def to_schema_1(manifest: dict[str, Any]) -> None:
    for name in ("graphs", "tokenizer"):
        del manifest[name]
    manifest["schema"] = 1


def test_round_trip(bundle: Bundle) -> None:
    assert load_bundle(bundle.path) == bundle
    assert load_bundle(bundle.path.parent).fingerprint == bundle.fingerprint  # of a run's folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema=99), "schema 99, but this imtext reads only up to 2"),
        (lambda m: m.pop("embed_dim"), r"was not written by imtext.*embed_dim"),
        (lambda m: m.update(embed_dim="many"), r"was not written by imtext.*many"),
        (lambda m: m["files"].pop("text.onnx"), r"was not written by imtext.*text\.onnx"),
        (lambda m: m["files"]["text.onnx"].pop("sha256"), r"was not written by imtext.*sha256"),
        (lambda m: m.update(files=["image.onnx", "text.onnx", "tokenizer.json"]), "was not written by imtext"),
        (lambda m: m["calibration"].pop("bias"), r"was not written by imtext.*bias"),
        (lambda m: m["calibration"].update(more=1), r"was not written by imtext.*more"),
        (lambda m: m["preprocess"].update(image_size=8), r"was not written by imtext.*image_size"),
        (lambda m: m["files"].update({"../escape": m["files"]["text.onnx"]}), "not a plain file name"),
        (lambda m: m["graphs"].pop("text"), r"was not written by imtext.*text"),
        (lambda m: m["graphs"].update(more="../escape"), r"was not written by imtext.*escape"),
        (lambda m: m["tokenizer"].pop("pad_id"), r"was not written by imtext.*pad_id"),
    ],
)
def test_manifest_with_wrong_entries(damaged: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    edit(damaged, change, sealed=True)
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
    with pytest.raises(BundleError, match=r"was altered.*its hash differs\. Export it again"):
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


@pytest.mark.parametrize("location", ["../secret", "secret"])
def test_graph_with_external_data(
    damaged: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    """A graph may name another file of the machine for its weights. Correct hashes do not make that safe."""
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
    with pytest.raises(BundleError, match=r"text\.onnx is not trusted: it reads data from other files"):
        changed_bundle(bundle, tmp_path / "evil", {"text": graph.SerializeToString()})
    with pytest.raises(BundleError, match=r"text\.onnx is not trusted: it reads data from other files"):
        load_bundle(tmp_path / "evil")


def test_other_files_are_never_replaced(bundle: Bundle, tmp_path: Path) -> None:
    for manifest in (None, '{"name": "a web page", "start_url": "/"}', (bundle.path / "manifest.json").read_text()):
        (tmp_path / "holiday.jpg").touch()
        if manifest is not None:
            (tmp_path / "manifest.json").write_text(manifest)
        with pytest.raises(BundleError, match="contains files that do not belong"):
            changed_bundle(bundle, tmp_path)
        assert (tmp_path / "holiday.jpg").exists()
    (tmp_path / "holiday.jpg").unlink()
    (tmp_path / ".DS_Store").touch()
    assert changed_bundle(bundle, tmp_path).fingerprint == bundle.fingerprint, "a bundle is replaced by a new one"


def test_copy_is_equal_byte_by_byte(bundle: Bundle, damaged: Path, tmp_path: Path) -> None:
    edit(damaged, to_schema_1, sealed=True)
    for original in (bundle, load_bundle(damaged)):
        copy = copy_bundle(original, tmp_path / "copy")
        assert copy.fingerprint == original.fingerprint
        for path in original.path.iterdir():
            if path.name != "manifest.json":
                assert (copy.path / path.name).read_bytes() == path.read_bytes()
        manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (copy.path, original.path)]
        assert manifests[0] == manifests[1]


def test_copy_of_a_bundle_that_was_replaced(bundle: Bundle, damaged: Path, tmp_path: Path) -> None:
    opened = load_bundle(damaged)
    changed_bundle(bundle, damaged, metrics={})
    with pytest.raises(BundleError, match="was replaced by another bundle"):
        copy_bundle(opened, tmp_path / "copy")


def test_a_new_calibration(bundle: Bundle, damaged: Path, tmp_path: Path) -> None:
    """Vectors stay valid, and so does the fingerprint; nothing else is left in the folder."""
    opened = load_bundle(damaged)
    Index.create(tmp_path / "index", opened)
    assert opened.calibration is not None
    changed = calibrate_bundle(opened, replace(opened.calibration, min_relevance=0.25))
    assert changed.calibration is not None
    assert (changed.calibration.min_relevance, changed.fingerprint) == (0.25, bundle.fingerprint)
    Index.create(tmp_path / "index", changed)  # it accepts the bundle as its own
    assert {path.name for path in damaged.parent.iterdir()} == {"bundle", "index"}
    with pytest.raises(BundleError, match="was replaced by another bundle while it was calibrated"):
        calibrate_bundle(opened, opened.calibration)


def test_schema_1(bundle: Bundle, damaged: Path, gallery: Path, tmp_path: Path) -> None:
    """Bundles made before graphs and tokenizer were listed embed and search as before, and so do their indexes."""
    edit(damaged, to_schema_1, sealed=True)
    old = load_bundle(damaged)
    assert (old.graphs, old.vocabulary, old.fingerprint) == (bundle.graphs, bundle.vocabulary, bundle.fingerprint)
    np.testing.assert_array_equal(Encoder(old).encode_texts(["red"]), Encoder(bundle).encode_texts(["red"]))
    index = Index.create(tmp_path / "index", old)
    index.update([str(gallery)])
    assert len(Index(tmp_path / "index").search(parse_query("red"))) == 10
    assert len(Index.create(tmp_path / "index", bundle)) == 12, "the same embedding space"


def test_more_than_two_graphs(bundle: Bundle, tmp_path: Path) -> None:
    more = changed_bundle(bundle, tmp_path / "more", {"again": bundle.read("text.onnx")})
    assert dict(more.graphs) == {"image": "image.onnx", "text": "text.onnx", "again": "again.onnx"}
    encoder = Encoder(copy_bundle(more, tmp_path / "copy"))
    ids, mask = encoder.tokenizer(["a red circle"])
    (output,) = encoder.run("again", {"input_ids": ids, "attention_mask": mask})
    np.testing.assert_allclose(output, encoder.encode_texts(["a red circle"]), atol=1e-6)
    with pytest.raises(BundleError, match="has no graph 'rerank', only image, text, again"):
        encoder.run("rerank", {})
    (more.path / "again.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"again\.onnx is not the file that was exported"):
        load_bundle(more.path)


def test_two_graphs_are_needed(bundle: Bundle, tmp_path: Path) -> None:
    graphs = {"image": bundle.read("image.onnx")}
    with pytest.raises(BundleError, match=r"was not written by imtext.*text"):
        write_bundle(tmp_path / "half", graphs, Encoder(bundle).tokenizer, bundle.manifest)


@fuzzed(60)
@given(st.data())
def test_damage_of_any_file_is_noticed(bundle: Bundle, damaged: Path, data: st.DataObject) -> None:
    path = damaged / data.draw(st.sampled_from(sorted(file.name for file in damaged.iterdir())))
    content = path.read_bytes()
    path.write_bytes(data.draw(damage(content)))
    try:
        opened = load_bundle(damaged)
    except BundleError:
        return
    finally:
        path.write_bytes(content)
    assert replace(opened, path=bundle.path) == bundle  # nothing has changed, or only blanks in the manifest


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("../escape\0"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
ENTRIES = (
    "embed_dim", "preprocess", "preprocess.image_size", "preprocess.image_mean", "tokenizer", "tokenizer.size",
    "graphs", "graphs.image", "graphs.more", "calibration", "calibration.bias", "files", "files.text.onnx",
    "files.more", "reranker", "schema",
)  # fmt: skip


@fuzzed(150)
@given(st.sampled_from(ENTRIES), JSON)
@example("embed_dim", float("inf"))
@example("files", {"a\0b": {"sha256": ""}})
@example("preprocess.image_mean", [10**400, 0, 0])
def test_a_made_up_manifest_is_refused_or_harmless(damaged: Path, name: str, value: Any) -> None:
    """Its hash holds no secret: whoever makes a bundle can seal anything."""
    before = (damaged / "manifest.json").read_text()
    *parents, last = name.split(".", 1)

    def put(manifest: dict[str, Any]) -> None:
        for parent in parents:
            manifest = manifest[parent]
        manifest[last] = {**manifest[last], **value} if last == "files" and isinstance(value, dict) else value

    edit(damaged, put, sealed=True)
    try:
        load_bundle(damaged)
    except BundleError:
        pass
    finally:
        (damaged / "manifest.json").write_text(before)
