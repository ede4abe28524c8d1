"""Fewer numbers keep the dot products of pictures and texts, and graphs compute them."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from imtext.search import Bundle
from imtext.training.projection import axes_to_keep, project_graph
from tests.training.test_quantization import INPUTS


def test_axes_keep_the_dot_products() -> None:
    """Pictures lie in one plane and texts in another; three axes hold both."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(16, 16)))[0].astype(np.float32)
    images = rng.normal(size=(50, 2)).astype(np.float32) @ basis[:2]
    texts = rng.normal(size=(80, 2)).astype(np.float32) @ basis[1:3]
    axes = axes_to_keep(images, texts, 3)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-5)
    np.testing.assert_allclose((texts @ axes) @ (images @ axes).T, texts @ images.T, atol=1e-4)
    one = axes_to_keep(images, np.zeros_like(texts), 1)  # pictures alone: one axis holds as much as one can
    kept = ((images @ one) ** 2).sum()
    assert kept == pytest.approx(np.linalg.svd(images, compute_uv=False)[0] ** 2, rel=1e-4)


@pytest.mark.parametrize("name", ["image", "text"])
def test_a_graph_gives_fewer_numbers(bundle: Bundle, name: str) -> None:
    graph = bundle.read(bundle.graphs[name])
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(32, 5)))[0].astype(np.float32)
    before, after = (
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, INPUTS[name])[0]
        for content in (graph, project_graph(graph, axes))
    )
    np.testing.assert_allclose(after, before @ axes, atol=1e-5)
