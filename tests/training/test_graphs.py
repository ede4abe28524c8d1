"""The ONNX graphs compute what the model computes, for any batch and any length."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch

from imtext.data import RetrievalDataModule
from imtext.errors import BundleError
from imtext.models import DualEncoder, ImageEncoder, MobileNetV3Large
from imtext.models.timm_encoder import TimmEncoder
from imtext.models.vit import VisionTransformer
from imtext.preprocess.tokenizer import Vocabulary
from imtext.search import Encoder
from imtext.training.checkpoints import TrainedModel
from imtext.training.graphs import ImageGraph, trace_image_graph, trace_text_graph
from tests.models.towers import BagOfWords

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


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [
        lambda: MobileNetV3Large(None),
        lambda: TimmEncoder("tf_efficientnet_lite0", None, image_size=64),
        lambda: TimmEncoder("vit_tiny_patch16_224", None, image_size=32),
        lambda: TimmEncoder("vit_small_patch16_dinov3", None, image_size=32),
        lambda: TimmEncoder("regnetx_002", None, image_size=32),
        lambda: VisionTransformer("vit_b_32", None, image_size=32),
    ],
    ids=["mobilenet_large", "efficientnet", "vit", "dinov3", "one_block", "torchvision_vit"],
)
def test_image_graph_of_every_kind_of_tower(build: Callable[[], ImageEncoder]) -> None:
    torch.manual_seed(0)
    tower = build()
    text_encoder = BagOfWords(vocabulary=Vocabulary("words", 10, pad_id=0, unk_id=1, max_length=8))
    model = DualEncoder(tower, text_encoder, embed_dim=16).eval()
    content = trace_image_graph(model, tower.preprocess)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    side = tower.preprocess.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = ImageGraph(model, tower.preprocess)(torch.from_numpy(pixels)).numpy()
    cosine = (session.run(None, {"image": pixels})[0] * expected).sum(axis=1)
    assert cosine.min() >= 0.9999


def test_a_tower_that_no_file_can_hold_is_refused(untrained: Untrained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imtext.training.graphs.MAX_BYTES", 1_000)
    with pytest.raises(BundleError, match=r"text tower has .* GB of weights, and an ONNX file holds at most 2 GB"):
        trace_text_graph(untrained[0].model)
