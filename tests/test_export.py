"""Exported == trained, and an export that is not is refused."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from imtext.data import RetrievalDataModule
from imtext.errors import BundleError
from imtext.export import verify
from imtext.search import Bundle, Encoder
from imtext.training.checkpoints import TrainedModel

Untrained = tuple[TrainedModel, RetrievalDataModule]


@pytest.mark.parametrize(("batch", "length"), [(1, 3), (5, 1), (3, 40)])
def test_text_graph_takes_any_size(untrained: Untrained, encoder: Encoder, batch: int, length: int) -> None:
    trained, _ = untrained
    texts = [" ".join(["red circle"] * length)[: 3 + 7 * row * length] for row in range(batch)]
    ids, mask = map(torch.from_numpy, trained.tokenizer(texts))
    with torch.inference_mode():
        expected = trained.model.encode_text(ids, mask).numpy()
    np.testing.assert_allclose(encoder.encode_texts(texts), expected, atol=1e-5)


def test_a_text_does_not_depend_on_its_neighbours(encoder: Encoder) -> None:
    alone = encoder.encode_texts(["a red circle"])
    among = encoder.encode_texts(["two big blue stars to the left of a ring", "a red circle", "dot"])
    np.testing.assert_allclose(among[1], alone[0], atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 33])
def test_image_graph_takes_any_number(untrained: Untrained, encoder: Encoder, count: int) -> None:
    trained, data = untrained
    pixels = [data.pixels[row % 40] for row in range(count)]
    assert encoder.encode_images(pixels).shape == (count, 32)
    if count:
        with torch.inference_mode():
            expected = trained.model.encode_image(data.pictures().batch([0], []))
        np.testing.assert_allclose(encoder.encode_images(pixels)[0], expected[0].numpy(), atol=1e-5)


def test_another_model_is_noticed(untrained: Untrained, bundle: Bundle) -> None:
    trained, data = untrained
    other = copy.deepcopy(trained)
    with torch.no_grad():
        other.model.text_projection[1].weight.add_(0.05)  # type: ignore[index]
    with pytest.raises(BundleError, match="text graph is not the model that was trained: cosine"):
        verify(bundle, other, data)


def test_manifest(bundle: Bundle) -> None:
    assert bundle.manifest["metrics"] == {"val/t2i_r@10": 0.5}
    assert bundle.manifest["tags"] == {"note": "tiny"}
    assert bundle.calibration is not None
    assert {path.name for path in bundle.path.iterdir()} == {
        "image.onnx",
        "text.onnx",
        "tokenizer.json",
        "manifest.json",
    }
    assert not list(Path(bundle.path).parent.glob(".*")), "nothing is left of the trial"
