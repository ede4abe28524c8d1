"""Graphs with smaller numbers: smaller files, nearly the same embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

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


@pytest.mark.parametrize(("precision", "cosine", "size"), [("float16", 0.9999, 0.6), ("int8", 0.98, 0.5)])
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
    assert 15 < len(rounded) <= 52 - 11, "weights are stored once; small ones stay as they are"


def test_layers_with_rounded_weights() -> None:
    """Word embeddings, a product, and a layer whose weights stand the other way round; used twice each."""
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=(128, 128)).astype(np.float32) for name in ("table", "product", "layer")}
    weights["table"][:64] *= 100  # rows of different size are rounded by scales of their own
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"]),
        helper.make_node("Gather", ["table", "other"], ["others"]),
        helper.make_node("MatMul", ["words", "product"], ["a"]),
        helper.make_node("MatMul", ["others", "product"], ["b"]),
        helper.make_node("Gemm", ["a", "layer"], ["c"], transB=1),
        helper.make_node("Gemm", ["b", "layer"], ["d"], transB=1),
        helper.make_node("Concat", ["c", "d"], ["out"], axis=1),
    ]
    declared = [helper.make_tensor_value_info(name, onnx.TensorProto.INT64, ["n"]) for name in ("ids", "other")]
    out = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, ["n", 256])
    stored = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "layers", declared, [out], stored),
        ir_version=10, opset_imports=[helper.make_opsetid("", 20)],
    )  # fmt: skip
    graph = model.SerializeToString()
    smaller = quantize_graph(graph, "int8")
    assert len(smaller) < 0.3 * len(graph)
    ids = {"ids": np.arange(128), "other": np.arange(128)[::-1].copy()}
    before, after = run(graph, ids), run(smaller, ids)
    for row in range(128):
        assert np.abs(before[row] - after[row]).max() < 0.05 * np.abs(before[row]).max()
