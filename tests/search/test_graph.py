"""Every way to call a graph is read from what the graph declares."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from imtext.errors import BundleError
from imtext.preprocess import Preprocess
from imtext.search import Bundle
from imtext.search.graph import Graph, image_graph, image_inputs, open_session, text_graph, text_inputs


@dataclass
class Put:
    """An input or output."""

    name: str
    type: str = "tensor(float)"
    shape: Sequence[int | str | None] = ("batch", 3, 32, 32)


@dataclass
class Fake:
    """A session that keeps what it was called with, and returns vectors of length 5."""

    inputs: list[Put]
    outputs: list[Put]
    calls: list[Mapping[str, npt.NDArray[Any]]] = field(default_factory=list)

    def get_inputs(self) -> list[Put]:
        return self.inputs

    def get_outputs(self) -> list[Put]:
        return self.outputs

    def run(
        self, outputs: Sequence[str] | None, inputs: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[np.float32]]:
        self.calls.append(dict(inputs))
        rows = len(next(iter(inputs.values())))
        return [np.tile(np.array([3, 4], dtype=np.float32), (rows, 1))]


PIXELS = [np.full((32, 32, 3), value, dtype=np.uint8) for value in (0, 100, 255)]
IDS, MASK = np.array([[5, 6, 1], [7, 1, 1]]), np.array([[True, True, False], [True, False, False]])
OUT = [Put("embedding", shape=("batch", 2))]


def test_own_graphs(bundle: Bundle) -> None:
    """imtext's own graphs are one case: raw pixels, any number of rows, unit length already."""
    image, text = (
        image_graph(open_session(bundle.read("image.onnx"))),
        text_graph(open_session(bundle.read("text.onnx"))),
    )
    assert (image.inputs, image.output, image.single) == ({"image": np.uint8}, "image_embeddings", False)
    assert text.inputs == {"input_ids": np.int64, "attention_mask": np.bool_}
    assert (text.output, text.single, text.length) == ("text_embeddings", False, None)
    fed = image_inputs(image, PIXELS, bundle.preprocess)["image"]
    assert fed.dtype == np.uint8
    assert fed.shape == (3, 32, 32, 3)


@pytest.mark.parametrize(("kind", "dtype"), [("tensor(float)", np.float32), ("tensor(float16)", np.float16)])
@pytest.mark.parametrize(("rows", "calls"), [(1, 3), ("batch", 1), (None, 1)])
def test_normalised_pictures(kind: str, dtype: Any, rows: int | str | None, calls: int) -> None:
    session = Fake([Put("pixel_values", kind, (rows, 3, 32, 32))], OUT)
    graph = image_graph(session)
    preprocess = Preprocess(32, (0.5, 0.25, 0), (0.5, 0.5, 2))
    embedded = graph.embed(image_inputs(graph, PIXELS, preprocess))
    np.testing.assert_allclose(embedded, [[0.6, 0.8]] * 3, rtol=1e-6)
    assert len(session.calls) == calls
    fed = np.concatenate([call["pixel_values"] for call in session.calls])
    assert (fed.dtype, fed.shape) == (dtype, (3, 3, 32, 32))
    np.testing.assert_allclose(fed[2, :, 0, 0], [1, 1.5, 0.5], atol=1e-3)


@pytest.mark.parametrize(
    ("declared", "length"),
    [
        ([Put("text", "tensor(int32)", (1, 3))], 3),
        ([Put("input_ids", "tensor(int64)", ("batch", "length"))], None),
        ([Put("anything", "tensor(int64)", ("batch", "length"))], None),
        ([Put("attention_mask", "tensor(int64)", ("b", "l")), Put("input_ids", "tensor(int64)", ("b", "l"))], None),
        ([Put(name, "tensor(int32)", (1, 3)) for name in ("input_ids", "token_type_ids", "attention_mask")], 3),
    ],
)
def test_texts(declared: list[Put], length: int | None) -> None:
    session = Fake(declared, OUT)
    graph = text_graph(session)
    assert graph.length == length
    assert len(graph.embed(text_inputs(graph, IDS, MASK))) == 2
    assert len(session.calls) == (1 if length is None else 2)
    expected = {"attention_mask": MASK, "token_type_ids": np.zeros_like(IDS)}
    for put in declared:
        fed = np.concatenate([call[put.name] for call in session.calls])
        assert f"tensor({fed.dtype})" == put.type
        np.testing.assert_array_equal(fed, expected.get(put.name, IDS))


def test_one_of_several_outputs() -> None:
    outputs = [Put(name) for name in ("last_hidden_state", "pooler_output", "text_embeds")]
    graph = text_graph(Fake([Put("input_ids", "tensor(int64)", ("b", "l"))], outputs))
    assert graph.output == "text_embeds"
    assert image_graph(Fake([Put("x")], outputs[:2])).output == "pooler_output"
    assert image_graph(Fake([Put("x")], [Put("of any name")])).output == "of any name"
    with pytest.raises(BundleError, match="it gives logits, scores, and none of them"):
        image_graph(Fake([Put("x")], [Put("logits"), Put("scores")]))


def test_a_vector_of_zeros_stays() -> None:
    class Zeros(Fake):
        def run(self, outputs: Any, inputs: Any) -> list[npt.NDArray[np.float32]]:
            return [np.zeros((1, 2), dtype=np.float32)]

    graph = Graph(Zeros([], []), {"x": np.float32}, "embedding", single=False)
    assert not graph.embed({"x": np.zeros(1)}).any()


@pytest.mark.parametrize(
    ("describe", "inputs", "message"),
    [
        (image_graph, [Put("x", shape=("b", 77))], r"it takes x \['b', 77\], but an image graph takes one batch"),
        (image_graph, [Put("x"), Put("y")], "an image graph takes one batch"),
        (image_graph, [Put("x", shape=(4, 3, 32, 32))], "it takes exactly 4 rows at a time"),
        (image_graph, [Put("x", "tensor(double)")], r"its input x is a tensor\(double\)"),
        (text_graph, [Put("x")], "a text graph takes token ids and their mask"),
        (text_graph, [Put("input_ids", shape=("b", "l")), Put("position")], "takes token ids and their mask"),
        (text_graph, [Put("a", shape=("b", "l")), Put("attention_mask", shape=("b", "l"))], "takes token ids"),
    ],
)
def test_other_graphs(describe: Any, inputs: list[Put], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        describe(Fake(inputs, OUT))


def test_no_graph() -> None:
    with pytest.raises(BundleError, match="cannot be loaded: "):
        open_session(b"no graph")


@pytest.mark.slow
def test_a_graph_that_does_not_run(bundle: Bundle) -> None:
    """One that was exported for captions of one length, say: one line instead of a traceback."""
    graph = text_graph(open_session((bundle.path / "text.onnx").read_bytes()))
    with pytest.raises(BundleError, match=r"does not run: .*Export it again: imtext export"):
        graph.embed({"input_ids": np.zeros((1, 2, 3), dtype=np.int64), "attention_mask": np.ones((1, 2), dtype=bool)})


def test_onnx_runtime_reports_nothing(bundle: Bundle, tmp_path: Path) -> None:
    """Its telemetry writes an id of the device and a queue of reports into the home before it sends them."""
    program = f"import imtext; imtext.create_predictor({str(bundle.path)!r}).encode_text('a dog')"
    known = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=known, cwd=tmp_path)  # CI alone turns it off, too
    assert list(tmp_path.iterdir()) == []
