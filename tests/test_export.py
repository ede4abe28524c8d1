"""A bundle is written only if it gives the results of the model."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from imtext.data import RetrievalDataModule, Shapes
from imtext.errors import BundleError
from imtext.export import export, export_pretrained, name_of, verify
from imtext.models.cross_attention import CrossAttention
from imtext.search import Bundle, Encoder
from imtext.training.checkpoints import TrainedModel
from imtext.training.pretrained import load_pretrained
from tests.models.clip.folders import WRITERS

Untrained = tuple[TrainedModel, RetrievalDataModule]


def altered(trained: TrainedModel) -> TrainedModel:
    other = copy.deepcopy(trained)
    with torch.no_grad():
        other.model.text_projection[1].weight.add_(0.05)  # type: ignore[index]
    return other


def test_another_model_is_noticed(untrained: Untrained, bundle: Bundle) -> None:
    trained, data = untrained
    with pytest.raises(BundleError, match="text graph differs from the trained model: lowest cosine"):
        verify(bundle, altered(trained), data)


def test_a_wrong_export_leaves_no_bundle(untrained: Untrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, data = untrained
    monkeypatch.setattr("imtext.export.trace_image_graph", lambda *_: b"no graph")
    with pytest.raises(BundleError):
        export(trained, data, tmp_path / "bundle", {}, {})
    assert not list(tmp_path.iterdir())


def test_manifest(bundle: Bundle) -> None:
    assert bundle.manifest["name"] == "?-?"  # this model was built without a configuration
    assert bundle.manifest["metrics"] == {"val/t2i_r@10": 0.5}
    assert bundle.manifest["tags"] == {"note": "tiny"}
    assert bundle.calibration is not None
    assert {path.name for path in bundle.path.iterdir()} == {
        "image.onnx",
        "text.onnx",
        "tokenizer.json",
        "manifest.json",
    }
    assert not list(Path(bundle.path).parent.glob(".*")), "the trial bundle is removed"


def test_a_reranker_is_exported_with_its_grids(reranked: tuple[TrainedModel, Bundle], untrained: Untrained) -> None:
    (trained, made), (_, data) = reranked, untrained
    assert trained.reranker is not None
    assert made.reranker is not None
    places = trained.model.image_encoder.tokens(data.pictures().batch([0], [])).shape[1]
    assert (made.reranker.top_k, made.reranker.grid) == (50, (places, 16))
    assert made.reranker.calibration is not None
    assert made.reranker.calibration != made.calibration
    assert set(made.graphs) == {"image", "text", "reranker"}
    encoder, caption = Encoder(made, threads=1), "a red circle to the left of a big blue star"
    images, grids = encoder.encode_images_and_grids(data.pixels[row] for row in range(20))
    np.testing.assert_array_equal(encoder.encode_images(data.pixels[row] for row in range(20)), images)
    assert grids.dtype == np.float16
    assert grids.shape == (20, places, 16)
    with torch.inference_mode():
        pictures = data.pictures().batch(range(20), [])
        exact = trained.reranker.project(trained.model.image_encoder.tokens(pictures))
        ids, mask = map(torch.from_numpy, trained.tokenizer([caption]))
        similarity = trained.model.encode_text(ids, mask) @ trained.model.encode_image(pictures).T
        expected = trained.reranker(exact[None], ids, mask, similarity)[0]
    np.testing.assert_allclose(grids, exact.numpy(), atol=1e-2, rtol=1e-3)
    scores = encoder.rerank(caption, grids, similarity[0].numpy())
    np.testing.assert_allclose(scores, expected.numpy(), atol=5e-3)
    assert np.argsort(-scores).tolist() != np.argsort(-similarity[0].numpy()).tolist(), (
        "random weights change the order"
    )
    assert encoder.rerank(caption, grids[:1], similarity[0, :1].numpy()) == pytest.approx(scores[:1], abs=1e-5)


def test_another_reranker_is_noticed(reranked: tuple[TrainedModel, Bundle], untrained: Untrained) -> None:
    (trained, made), (_, data) = reranked, untrained
    other = copy.deepcopy(trained)
    assert isinstance(other.reranker, CrossAttention)
    with torch.no_grad():
        other.reranker.word_embedding.weight.mul_(-1)
    with pytest.raises(BundleError, match="The exported re-ranker differs from the trained one: scores by up to"):
        verify(made, other, data)
    with torch.no_grad():
        for weights in other.reranker.parameters():
            weights.mul_(-0.5)
    with pytest.raises(BundleError, match="The grids of the exported image graph differ from the trained model"):
        verify(made, other, data)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_pretrained_model_becomes_a_bundle_without_training(kind: str, tmp_path: Path) -> None:
    name = WRITERS[kind](tmp_path / kind)
    made = export_pretrained(str(name), tmp_path / "bundle")
    assert made.manifest["name"] == kind
    assert made.calibration is None
    assert made.manifest["tags"] == {"source": str(name)}
    assert made.vocabulary.fixed_length == (kind == "siglip")
    trained = load_pretrained({"_target_": "imtext.models.clip.CLIP", "name": str(name)})
    encoder, texts = Encoder(made, threads=1), ["a", "the red circle", "the blue square " * 9]
    for batch in (texts, texts[:1]):
        expected = trained.encode_texts(batch)
        torch.testing.assert_close(torch.from_numpy(encoder.encode_texts(batch)), expected, atol=1e-5, rtol=0)
    for count in (1, 3):
        pictures = [Image.new("RGB", (50, 40 + number), (200, 90 * number, 0)) for number in range(count)]
        found = torch.from_numpy(encoder.encode_images([made.preprocess.pixels(each) for each in pictures]))
        torch.testing.assert_close(found, trained.encode_images(pictures), atol=1e-5, rtol=0)


def test_with_data_a_pretrained_model_is_calibrated(tmp_path: Path) -> None:
    data = Shapes(num_images=30, ratios=(0.1, 0.9, 0), image_size=32, cache_dir=str(tmp_path / "cache"))
    made = export_pretrained(str(WRITERS["clip"](tmp_path / "clip")), tmp_path / "bundle", data)
    assert made.calibration is not None
    assert data.preprocess == made.preprocess
    assert made.manifest["tags"]["source"] == str(tmp_path / "clip")


@pytest.mark.parametrize(
    ("name", "shown"),
    [("/models/my-clip", "my-clip"), ("ViT-B-32/laion2b_s34b_b79k", "ViT-B-32-laion2b_s34b_b79k"),
     ("hf-hub:timm/ViT-B-16-SigLIP", "timm-ViT-B-16-SigLIP")],
)  # fmt: skip
def test_names_of_pretrained_models(name: str, shown: str) -> None:
    assert name_of({"name": name}) == shown
