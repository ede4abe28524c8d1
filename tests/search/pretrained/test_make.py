"""Bundles of exported models give the embeddings of the models."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from imtext.errors import BundleError
from imtext.search import Encoder, Index, create_predictor, parse_query
from imtext.search.pretrained import make_bundle, named_bundle, open_source
from imtext.search.pretrained.layout import Precision
from imtext.search.pretrained.make import made_before
from tests.exported import DIM, LENGTH, Exported
from tests.search.pretrained.conftest import normalized

Pictures = list[npt.NDArray[np.uint8]]

TEXTS = ["a red circle", "two big blue stars on the beach and a dog on green squares and yellow rings", "dog", ""]


def cosines(
    exported: Exported, pixels: Pictures, folder: Path, precision: Precision | None = None
) -> npt.NDArray[np.float32]:
    """Similarity of the bundle's and the model's embeddings of all pictures and texts."""
    bundle = make_bundle(open_source(str(exported.folder)), folder, precision)
    encoder = Encoder(bundle, threads=1)
    images, texts = encoder.encode_images(pixels), encoder.encode_texts(TEXTS)
    assert images.shape[1] == texts.shape[1] == DIM
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([images, texts]), axis=1), 1, atol=1e-6)
    expected = exported.images(normalized(pixels, bundle.preprocess)), exported.texts(TEXTS)
    return np.concatenate([(images * expected[0]).sum(axis=1), (texts * expected[1]).sum(axis=1)])


def test_one_row_at_a_time_and_texts_of_a_fixed_length(immich: Exported, pixels: Pictures, tmp_path: Path) -> None:
    assert cosines(immich, pixels, tmp_path / "bundle").min() > 0.9999


@pytest.mark.parametrize(
    ("precision", "least"), [(None, 0.9999), ("fp32", 0.9999), ("fp16", 0.999), ("quantized", 0.9)]
)
def test_any_number_of_rows_and_tokens(
    transformers_js: Exported, pixels: Pictures, tmp_path: Path, precision: Precision | None, least: float
) -> None:
    assert cosines(transformers_js, pixels, tmp_path / "bundle", precision).min() > least


def test_a_text_tower_that_reads_the_padding(siglip: Exported, pixels: Pictures, tmp_path: Path) -> None:
    assert cosines(siglip, pixels, tmp_path / "bundle").min() > 0.9999


def test_the_manifest(transformers_js: Exported, siglip: Exported, immich: Exported, tmp_path: Path) -> None:
    made = make_bundle(open_source(str(transformers_js.folder)), tmp_path / "a", "quantized")
    tags = {"source": str(transformers_js.folder), "layout": "transformers.js", "precision": "quantized"}
    tags["asked"] = "quantized precision, all tokens"
    assert (made.manifest["tags"], made.manifest["name"], made.calibration) == (tags, "clip", None)
    assert (made.vocabulary.max_length, made.vocabulary.fixed_length) == (LENGTH, False)
    assert (made.preprocess.resize, made.preprocess.interpolation) == ("crop", "bicubic")
    assert made.read("text.onnx") == (transformers_js.folder / "onnx/text_model_quantized.onnx").read_bytes()
    made = make_bundle(open_source(str(siglip.folder)), tmp_path / "b")
    assert made.manifest["tags"]["precision"] == "fp16", "there is no other"
    assert (made.vocabulary.fixed_length, made.preprocess.resize) == (True, "squash")
    assert made.preprocess.interpolation == "bilinear"
    first = make_bundle(open_source(str(immich.folder)), tmp_path / "c")
    assert make_bundle(open_source(str(immich.folder)), tmp_path / "c").fingerprint == first.fingerprint
    assert (first.manifest["name"], first.vocabulary.fixed_length) == ("ViT-Tiny__random", True)


def test_shorter_texts(transformers_js: Exported, immich: Exported, tmp_path: Path) -> None:
    made = make_bundle(open_source(str(transformers_js.folder)), tmp_path / "short", max_length=8)
    assert (made.vocabulary.max_length, Encoder(made).tokenizer(TEXTS).input_ids.shape) == (8, (4, 8))
    with pytest.raises(BundleError, match="takes at most 16 tokens, not 17"):
        make_bundle(open_source(str(transformers_js.folder)), tmp_path / "long", max_length=17)
    with pytest.raises(BundleError, match="takes 16 tokens, not 8"):
        make_bundle(open_source(str(immich.folder)), tmp_path / "short-2", max_length=8)


def test_index_and_search(immich: Exported, gallery: Path, tmp_path: Path) -> None:
    bundle = make_bundle(open_source(str(immich.folder)), tmp_path / "bundle")
    index = Index.create(tmp_path / "index", bundle)
    assert index.update([str(gallery)]).added == 12
    found = index.search(parse_query("a red circle"), top_k=3)
    assert [result.relevance for result in found] == [None] * 3
    predictor = create_predictor(bundle.path)
    ranked = predictor.rank_images("a red circle", sorted(gallery.rglob("*.png")), top_k=3)
    assert [result.path for result in ranked] == [result.path for result in found]
    assert predictor.query_notes("a " * 40)[0].startswith("The query is too long for the model (16 tokens)")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "textual/model.onnx").write_bytes(b"no graph"), r"textual/model\.onnx: cannot be loaded"),
        (
            lambda f: shutil.copy(f / "visual/model.onnx", f / "textual/model.onnx"),
            r"textual/model\.onnx: it takes image",
        ),
        (lambda f: (f / "visual/model.onnx.data").touch(), r"the weights of visual/model\.onnx are in .*\.data"),
        (lambda f: (f / "textual/tokenizer.json").write_text("{}"), "not a tokenizer.json"),
        (lambda f: (f / "textual/tokenizer_config.json").write_text("{}"), "settings are not as expected.*'pad_token'"),
        (
            lambda f: (f / "textual/tokenizer_config.json").write_text('{"pad_token": "?!"}'),
            "'\\?!' is not in the vocab",
        ),
        (lambda f: (f / "visual/preprocess_cfg.json").write_text("no"), r"preprocess_cfg\.json cannot be read"),
        (lambda f: (f / "visual/preprocess_cfg.json").write_text("[]"), "cannot be read: not a JSON object"),
        (lambda f: _replace(f / "visual/preprocess_cfg.json", "32", "64"), "a graph fails: "),
        (lambda f: _replace(f / "visual/preprocess_cfg.json", "shortest", "longest"), "resize_mode is 'longest'"),
    ],
)
def test_damaged(immich: Exported, tmp_path: Path, change: Callable[[Path], object], message: str) -> None:
    folder = shutil.copytree(immich.folder, tmp_path / "damaged")
    change(folder)
    with pytest.raises(BundleError, match=f"damaged cannot be used: .*{message}"):
        make_bundle(open_source(str(folder)), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_graphs_of_two_models(immich: Exported, bundle: object, tmp_path: Path) -> None:
    folder = shutil.copytree(immich.folder, tmp_path / "mixed")
    shutil.copy(bundle.path / "image.onnx", folder / "visual/model.onnx")  # type: ignore[attr-defined]
    with pytest.raises(BundleError, match="do not belong together"):
        make_bundle(open_source(str(folder)), tmp_path / "bundle")


def test_an_unknown_layout(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    with pytest.raises(BundleError, match="has no layout that imtext knows"):
        make_bundle(open_source(str(tmp_path)), tmp_path / "bundle")


def test_what_was_made_before_is_kept(immich: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    source = open_source(str(immich.folder))
    monkeypatch.setattr("imtext.search.pretrained.make.open_source", lambda name: _renamed(source, name))
    assert named_bundle(Path("some/folder")) == Path("some/folder")
    made = named_bundle(Path("clip-b32"))
    assert made.parts[-2:] == ("bundles", "clip-b32")
    monkeypatch.setattr("imtext.search.pretrained.make.open_source", None)  # it would fail now
    assert named_bundle(Path("clip-b32")) == made
    assert made_before("immich-app/ViT-B-32__openai", made) is not None
    assert made_before("immich-app/other", made) is None
    assert made_before("clip-b32", made, "fp16") is None
    assert made_before(str(immich.folder), made) is None, "a folder may have changed"
    (made / "text.onnx").write_bytes(b"damaged")
    assert made_before("clip-b32", made) is None, "it is made again"


def _renamed(source: object, short: str) -> object:
    """The same files, as if they came from the hub."""
    from dataclasses import replace

    from imtext.search.pretrained.sources import repository_of

    return replace(source, name=repository_of(short))  # type: ignore[type-var]


def _replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))
