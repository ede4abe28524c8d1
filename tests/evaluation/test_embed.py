"""Embedding a split, and given pictures and captions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imtext.data import RetrievalDataModule
from imtext.evaluation import embed
from imtext.evaluation.embed import embed_captions, embed_pixels, embed_split
from imtext.training.checkpoints import TrainedModel
from imtext.training.graphs import ImageGraph


def test_a_split_and_its_parts_have_the_same_embeddings(
    untrained: tuple[TrainedModel, RetrievalDataModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, data = untrained
    metrics = embed_split(trained.model, data.eval_dataloader("val"), torch.device("cpu"), "Embedding")
    images, texts, image_id, caption_image_id = metrics.gathered()
    assert image_id.tolist() == sorted(data.rows["val"])
    assert caption_image_id.tolist() == [row for row in image_id.tolist() for _ in data.captions[row]]
    rows = image_id.tolist()
    monkeypatch.setattr(embed, "BATCH", 7)
    pixels = embed_pixels(ImageGraph(trained.model, trained.preprocess), [data.pixels[row] for row in rows])
    captions = embed_captions(trained.model, trained.tokenizer, [text for row in rows for text in data.captions[row]])
    np.testing.assert_allclose(pixels, images.numpy(), atol=1e-5)
    np.testing.assert_allclose(captions, texts.numpy(), atol=1e-5)
