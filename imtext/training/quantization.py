"""Graphs with smaller numbers: weights of 8 bits, or of 16.

In 8 bits, recurrent layers, matrix products and word embeddings compute with integers: their inputs are rounded for
each call, by their own range (dynamic quantization). Convolutions keep exact inputs, because 8 bits are too few for
those of networks such as MobileNetV3, and compute with rounded weights; convolutions of single channels are small and
sensitive, and stay as they are. Weights are rounded by the range of each output channel (Krishnamoorthi, "Quantizing
deep convolutional networks for efficient inference", 2018).
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

DYNAMIC = ["LSTM", "MatMul", "Gather"]  # and Gemm, which becomes a MatMul
MIN_NUMBERS = 512  # smaller weights stay as they are
LARGEST = 127


def quantize_graph(graph: bytes, precision: Precision) -> bytes:
    """The same graph with smaller numbers.

    Args:
        graph: an ONNX model in single precision.
        precision: ``int8`` rounds weights to 8 bits and computes most products with integers, ``float16`` stores
            weights in half precision and computes in single precision. ``float32`` changes nothing.
    """
    if precision == "float32":
        return graph
    model = _folded(graph)
    if precision == "float16":
        _store_weights_in_half(model)
    else:
        model = _compute_with_integers(model)
        _round_convolutions(model)
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


def _round_convolutions(model: onnx.ModelProto) -> None:
    """Replace the weights ``[C, …]`` of convolutions by integers and a scale for each of the C channels.

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
        if name not in stored or any(node.op_type != "Conv" or _is_grouped(node) for node in nodes):
            continue
        weights = numpy_helper.to_array(stored[name])
        if weights.ndim < 3 or weights.size < MIN_NUMBERS:  # a bias, or small
            continue
        numbers, scale = _rounded(weights)
        graph.node.insert(0, helper.make_node("Mul", [f"{name}_numbers", f"{name}_scale"], [name]))
        _store(model, stored[name], numbers, f"{name}_numbers")
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))


def _is_grouped(convolution: onnx.NodeProto) -> bool:
    return any(attribute.name == "group" and attribute.i > 1 for attribute in convolution.attribute)


def _rounded(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Weights ``[C, …]`` → integers of the same shape, and the scale ``[C, 1, …]`` that they are multiples of."""
    within = tuple(range(1, weights.ndim))
    scale = np.maximum(np.abs(weights).max(axis=within, keepdims=True), 1e-30) / LARGEST
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
