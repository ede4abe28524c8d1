"""The ONNX graphs compute what the model computes, for any batch and any length."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imtext.data import RetrievalDataModule
from imtext.search import Encoder
from imtext.training.checkpoints import TrainedModel

Untrained = tuple[TrainedModel, RetrievalDataModule]


@pytest.mark.parametrize(("batch", "length"), [(1, 3), (5, 1), (3, 40)])
def test_text_graph_takes_any_size(untrained: Untrained, encoder: Encoder, batch: int, length: int) -> None:
    trained, _ = untrained
    texts = [" ".join(["red circle"] * length)[: 3 + 7 * row * length] for row in range(batch)]
    with torch.inference_mode():
        ids, mask = map(torch.from_numpy, trained.tokenizer(texts))
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
