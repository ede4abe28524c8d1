"""Graphs with smaller numbers: weights of 8 bits, or of 16.

In 8 bits, recurrent layers compute with integers, and their inputs are rounded for each call by their own range
(dynamic quantization). All other layers compute with exact inputs and rounded weights, because 8 bits are too few for
the inputs of networks such as MobileNetV3. Convolutions of single channels are small and sensitive, and stay as they
are. Weights are rounded by the range of each output channel (Krishnamoorthi, "Quantizing deep convolutional networks
for efficient inference", 2018), and word embeddings by that of each word.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

Precision = Literal["float32", "float16", "int8"]

DYNAMIC = ["LSTM"]
LAYERS = ("Conv", "Gemm", "MatMul")
MIN_NUMBERS = 4096  # smaller weights stay as they are: they are the sensitive ones, and take little place
LARGEST = 127


def quantize_graph(graph: bytes, precision: Precision) -> bytes:
    """The same graph with smaller numbers.

    Args:
        graph: an ONNX model in single precision.
        precision: ``int8`` rounds weights to 8 bits, and computes recurrent layers with integers; ``float16`` stores
            weights in half precision and computes in single precision. ``float32`` changes nothing.
    """
    if precision == "float32":
        return graph
    model = _folded(graph)
    if precision == "float16":
        _store_weights_in_half(model)
    else:
        if any(node.op_type in DYNAMIC for node in model.graph.node):
            model = _compute_with_integers(model)
        _round_weights(model)
    return bytes(model.SerializeToString())


def _folded(graph: bytes) -> onnx.ModelProto:
    """The model with all constants computed, so that weights are inputs of the operators that use them."""
    with TemporaryDirectory() as folder, _quiet():
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        before.write_bytes(graph)
        quant_pre_process(before, after, skip_symbolic_shape=True)
        model = onnx.load(after)
    _share_equal_weights(model)
    return model


def _share_equal_weights(model: onnx.ModelProto) -> None:
    """Store equal weights once: folding makes a copy for each use, and a mirrored picture is a second use."""
    first: dict[tuple[Any, ...], str] = {}
    names = {}
    for weights in list(model.graph.initializer):
        numbers = numpy_helper.to_array(weights)
        names[weights.name] = first.setdefault((numbers.dtype, numbers.shape, numbers.tobytes()), weights.name)
        if names[weights.name] != weights.name:
            model.graph.initializer.remove(weights)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)


def _compute_with_integers(model: onnx.ModelProto) -> onnx.ModelProto:
    with TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(model, path, DYNAMIC, per_channel=True, weight_type=QuantType.QInt8)
        return onnx.load(path)


def _round_weights(model: onnx.ModelProto) -> None:
    """Replace the weights of layers by integers and a scale for each output channel.

    A cast and a product return single precision. Runtimes compute them once, which they would not do for the operator
    that is made for this, DequantizeLinear.
    """
    graph = model.graph
    stored = {one.name: one for one in graph.initializer}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    for name, nodes in users.items():
        if name not in stored or len(stored[name].dims) < 2:  # a bias
            continue
        weights = numpy_helper.to_array(stored[name])
        axes = {_output_channels(node, name, weights.ndim) for node in nodes}
        (axis,) = axes if len(axes) == 1 else (None,)
        if axis is None or weights.dtype != np.float32 or weights.size < MIN_NUMBERS:
            continue
        numbers, scale = _rounded(weights, axis)
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
        if nodes[0].op_type == "Gather":
            _gather_rounded(model, stored[name], numbers, nodes)
        else:
            graph.node.insert(0, helper.make_node("Mul", [f"{name}_numbers", f"{name}_scale"], [name]))
            _store(model, stored[name], numbers, f"{name}_numbers")


def _output_channels(node: onnx.NodeProto, weights: str, dimensions: int) -> int | None:
    """The dimension of the output channels in the weights of a layer; None: they are not rounded."""
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    if node.op_type == "Gather":  # rows of a table
        return 0 if node.input[0] == weights and attributes.get("axis", 0) == 0 and dimensions == 2 else None
    if node.op_type not in LAYERS or list(node.input).index(weights) != 1 or attributes.get("group", 1) > 1:
        return None
    return 0 if node.op_type == "Conv" or attributes.get("transB") else dimensions - 1


def _gather_rounded(
    model: onnx.ModelProto, table: onnx.TensorProto, numbers: npt.NDArray[np.int8], nodes: list[onnx.NodeProto]
) -> None:
    """Look up the integers and the scale of each row, so that the table stays small in memory, too."""
    graph, stored = model.graph, f"{table.name}_int8"
    graph.initializer.remove(table)
    graph.initializer.append(numpy_helper.from_array(numbers, stored))
    for node in nodes:
        rows, (output,) = node.input[1], node.output
        place = list(graph.node).index(node)
        graph.node.remove(node)
        for step in (
            helper.make_node("Mul", [f"{output}_exact", f"{output}_scale"], [output]),
            helper.make_node("Cast", [f"{output}_numbers"], [f"{output}_exact"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Gather", [f"{table.name}_scale", rows], [f"{output}_scale"], axis=0),
            helper.make_node("Gather", [stored, rows], [f"{output}_numbers"], axis=0),
        ):
            graph.node.insert(place, step)


def _rounded(weights: npt.NDArray[np.float32], axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Weights → integers of the same shape, and the scales that they are multiples of, of size 1 but in the axis."""
    others = tuple(each for each in range(weights.ndim) if each != axis)
    scale = np.maximum(np.abs(weights).max(axis=others, keepdims=True), 1e-30) / LARGEST
    numbers = np.rint(weights / scale).clip(-LARGEST, LARGEST).astype(np.int8)
    return numbers, scale.astype(np.float32)


def _store_weights_in_half(model: onnx.ModelProto) -> None:
    """Store weights in half precision and return single precision."""
    largest = np.finfo(np.float16).max
    for weights in list(model.graph.initializer):
        numbers = numpy_helper.to_array(weights)
        if numbers.dtype == np.float32 and numbers.size >= MIN_NUMBERS and np.abs(numbers).max() <= largest:
            _store(model, weights, numbers.astype(np.float16), weights.name)


def _store(model: onnx.ModelProto, weights: onnx.TensorProto, numbers: npt.NDArray[Any], name: str) -> None:
    """Replace weights by other numbers and a cast that returns them in single precision under a name."""
    graph = model.graph
    graph.initializer.remove(weights)
    stored = f"{weights.name}_{numbers.dtype}"
    graph.initializer.append(numpy_helper.from_array(numbers, stored))
    graph.node.insert(0, helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the hints that ONNX Runtime logs for its own tools."""
    logger: Any = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
