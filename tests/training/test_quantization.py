"""Graphs with smaller numbers: smaller files, nearly the same embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from imtext.search import Bundle
from imtext.training.quantization import Precision, quantize_graph

PICTURES = {"image": np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)}
TEXTS = {
    "input_ids": np.array([[3, 4, 5, 0], [6, 3, 7, 8]]),
    "attention_mask": np.array([[1, 1, 1, 0], [1, 1, 1, 1]]) > 0,
}
INPUTS: dict[str, dict[str, npt.NDArray[Any]]] = {"image": PICTURES, "text": TEXTS}


def run(graph: bytes, inputs: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, inputs)[0], dtype=np.float32)


@pytest.mark.parametrize(("precision", "cosine", "size"), [("float16", 0.9999, 0.6), ("int8", 0.98, 0.4)])
@pytest.mark.parametrize("name", ["image", "text"])
def test_nearly_the_same_from_a_smaller_file(
    bundle: Bundle, name: str, precision: Precision, cosine: float, size: float
) -> None:
    graph = bundle.read(bundle.graphs[name])
    smaller = quantize_graph(graph, precision)
    if name == "image":  # the text tower of the tests is so small that the shape of its graph counts
        assert len(smaller) < size * len(graph)
    assert len(smaller) < len(graph)
    before, after = run(graph, INPUTS[name]), run(smaller, INPUTS[name])
    assert (before * after).sum(axis=1).min() > cosine
    assert np.abs(before - after).max() > 0


def test_single_precision_is_the_graph_itself(bundle: Bundle) -> None:
    graph = bundle.read(bundle.graphs["image"])
    assert quantize_graph(graph, "float32") is graph


def test_what_computes_with_integers(bundle: Bundle) -> None:
    text = onnx.load_from_string(quantize_graph(bundle.read(bundle.graphs["text"]), "int8")).graph
    assert "DynamicQuantizeLSTM" in {node.op_type for node in text.node}
    image = onnx.load_from_string(quantize_graph(bundle.read(bundle.graphs["image"]), "int8")).graph
    kept = {one.name for one in image.initializer if one.data_type == onnx.TensorProto.FLOAT}
    convolutions = [node for node in image.node if node.op_type == "Conv"]
    in_groups = {node.input[1] for node in convolutions if any(a.name == "group" and a.i > 1 for a in node.attribute)}
    rounded = {node.input[1] for node in convolutions} - kept
    assert in_groups, "MobileNetV3 has convolutions of single channels"
    assert in_groups <= kept
    assert len(convolutions) == 2 * 52, "of a picture and of its mirror image"
    assert 30 < len(rounded) <= 52 - 11, "weights are stored once; small ones stay as they are"
