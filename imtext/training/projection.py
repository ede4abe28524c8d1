"""Embeddings with fewer numbers: the axes along which pictures and captions differ most.

A trained model spreads what it knows over all numbers of an embedding, so leaving out some of them loses much. After a
rotation to the principal axes of training pictures and captions (Jolliffe, "Principal Component Analysis", 2002), the
first few numbers hold nearly all. No training is needed, unlike for Matryoshka embeddings (Kusupati et al., 2022).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from imtext.search.graph import OUTPUTS

Floats = npt.NDArray[np.float32]
AXES = "principal_axes"


def axes_to_keep(images: Floats, texts: Floats, dim: int) -> Floats:
    """The axes that keep most of the dot products between pictures and texts.

    The mean is not taken away: a search compares lengths along it, too.

    Args:
        images: ``[N, D]``, embeddings of pictures.
        texts: ``[T, D]``, embeddings of texts.
        dim: number of axes.

    Returns:
        ``[D, dim]``, orthonormal columns.
    """
    moments = images.T @ images / len(images) + texts.T @ texts / len(texts)  # both count the same
    _, axes = np.linalg.eigh(moments.astype(np.float64))
    return np.ascontiguousarray(axes[:, -dim:], dtype=np.float32)


def project_graph(graph: bytes, axes: Floats) -> bytes:
    """The same graph with embeddings of fewer numbers; they are scaled to unit length when they are used.

    Args:
        graph: an ONNX model with an output of embeddings ``[N, D]``.
        axes: ``[D, dim]``.
    """
    model = onnx.load_from_string(graph)
    output = next(one for one in model.graph.output if one.name in OUTPUTS)
    whole = f"{output.name}_whole"
    for node in model.graph.node:
        node.output[:] = [whole if name == output.name else name for name in node.output]
        node.input[:] = [whole if name == output.name else name for name in node.input]
    model.graph.initializer.append(numpy_helper.from_array(axes, AXES))
    model.graph.node.append(helper.make_node("MatMul", [whole, AXES], [output.name]))
    output.type.tensor_type.shape.dim[1].dim_value = axes.shape[1]
    return bytes(model.SerializeToString())
