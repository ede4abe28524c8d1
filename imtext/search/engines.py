"""Engines of TensorRT for the graphs of a bundle, built ahead of the first search."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from imtext.search.bundle import Bundle
from imtext.search.encoder import BATCH, Encoder
from imtext.search.providers import VARIABLE, chosen, engines_folder

TENSORRT = "tensorrt"


def require_tensorrt() -> None:
    """Check that the installed ONNX Runtime can build engines, before other work begins.

    Raises:
        SearchError: it cannot; the message says what to install.
    """
    import onnxruntime

    chosen(TENSORRT, onnxruntime.get_available_providers())


def build_engines(bundle: Bundle) -> Path:
    """Build an engine of every graph for the GPU of this machine, which takes minutes, and keep them.

    ONNX Runtime builds an engine when a graph first runs, and again for sizes beyond those that it has seen. So the
    least and the most are embedded here: a word and a batch of the longest texts, a picture and a batch of them.

    Returns:
        The folder of the engines; processes with ``IMTEXT_PROVIDERS=tensorrt`` find them there.

    Raises:
        SearchError: TensorRT, a GPU or its driver is missing.
    """
    require_tensorrt()
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = TENSORRT
    try:
        encoder = Encoder(bundle)
        size = bundle.preprocess.image_size
        for count, text in ((1, "a"), (BATCH, "a " * bundle.vocabulary.max_length)):
            encoder.encode_texts([text] * count)
            pictures = [np.zeros((size, size, 3), dtype=np.uint8)] * count
            if bundle.reranker is None:
                encoder.encode_images(pictures)
            else:
                _, grids = encoder.encode_images_and_grids(pictures)
                encoder.rerank(text, grids, np.zeros(count, dtype=np.float32))
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
    return engines_folder()
