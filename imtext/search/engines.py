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

    ONNX Runtime builds an engine when a graph first runs, and again for larger inputs. So one text of a single word and
    one of the greatest length are embedded here, one picture, and as many as an update embeds at once.

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
        encoder.encode_texts(["a", "a " * bundle.vocabulary.max_length])
        size = bundle.preprocess.image_size
        for count in (1, BATCH):
            encoder.encode_images([np.zeros((size, size, 3), dtype=np.uint8)] * count)
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
    return engines_folder()
