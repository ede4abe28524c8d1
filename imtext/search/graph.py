"""How a graph of a bundle is called: imtext's own graphs, and those that other projects have exported.

Graphs differ in names, in number formats, and in what they expect: raw or normalised pixels, any number of rows or
exactly one, with or without a mask. All of that is declared by the graph, so it is read when a graph is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from imtext.errors import BundleError
from imtext.preprocess import Pixels, Preprocess
from imtext.search.providers import chosen, require_running, wanted

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

TYPES: Mapping[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
# Of several outputs these are the embeddings; the first that exists is taken.
OUTPUTS = (
    "image_embeddings", "text_embeddings", "image_embeds", "text_embeds", "embedding", "embeddings", "pooler_output",
)  # fmt: skip
IDS, MASK, KINDS = ("input_ids", "text"), "attention_mask", "token_type_ids"


class Declared(Protocol):
    """One input or output, as ONNX Runtime describes it."""

    name: str
    type: str
    shape: Sequence[int | str | None]


class Session(Protocol):
    """The part of ONNX Runtime's `InferenceSession` that is used."""

    def get_inputs(self) -> Sequence[Declared]:
        """The inputs that the graph declares."""

    def get_outputs(self) -> Sequence[Declared]:
        """The outputs that the graph declares."""

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, Array]) -> list[Array]:
        """Run the graph."""


@dataclass(frozen=True)
class Graph:
    """A loaded graph.

    Attributes:
        session: runs it.
        inputs: name → type of each input.
        output: name of the output with the embeddings.
        single: it takes exactly one row at a time.
        length: the only number of tokens that it takes; None: any number, or the graph takes no tokens.
    """

    session: Session
    inputs: Mapping[str, Any]
    output: str
    single: bool
    length: int | None = None

    def embed(self, inputs: Mapping[str, Array]) -> Floats:
        """N rows of each input → ``[N, embed_dim]`` of unit length."""
        return self.embed_and(inputs)[0]

    def embed_and(self, inputs: Mapping[str, Array], *more: str) -> tuple[Floats, list[Array]]:
        """Like `embed`, with more outputs of the same run; those only of graphs that take any number of rows."""
        others: list[Array] = []
        if self.single:
            rows = len(next(iter(inputs.values())))
            single = ({name: array[row : row + 1] for name, array in inputs.items()} for row in range(rows))
            output = np.concatenate([run(self.session, [self.output], row)[0] for row in single])
        else:
            output, *others = run(self.session, [self.output, *more], inputs)
        embeddings = np.asarray(output, dtype=np.float32)
        lengths = np.linalg.norm(embeddings, axis=-1, keepdims=True)
        return np.asarray(embeddings / np.maximum(lengths, 1e-12), dtype=np.float32), others


def open_session(content: bytes, threads: int | None = None) -> Any:
    """Load a graph into ONNX Runtime.

    Args:
        content: the ONNX model.
        threads: number of threads for one call; None: the number of cores.

    Raises:
        BundleError: it is no graph, or not one that ONNX Runtime runs.
        SearchError: it cannot run where `IMTEXT_PROVIDERS` says.
    """
    import onnxruntime

    place = wanted()
    providers = chosen(place, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    options.log_severity_level = 3
    # Spinning threads would take time from the threads that decode pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:
        raise BundleError(f"cannot be loaded: {str(error).splitlines()[0]}") from error
    require_running(place, session.get_providers())
    return session


def run(session: Session, outputs: Sequence[str] | None, inputs: Mapping[str, Array]) -> list[Array]:
    """Run a graph; `outputs` are the names of those that are wanted, None for all.

    Raises:
        BundleError: ONNX Runtime cannot run it, although it could be loaded.
    """
    try:
        return session.run(outputs, inputs)
    except Exception as error:  # what ONNX Runtime raises has no other ancestor
        reason = str(error).strip().splitlines()[0]
        raise BundleError(
            f"A graph of the bundle does not run: {reason}. Export it again: imtext export <run>"
        ) from error


def image_graph(session: Session) -> Graph:
    """Describe a graph that embeds pictures.

    Raises:
        BundleError: it takes something else than one batch of pictures.
    """
    declared = session.get_inputs()
    if len(declared) != 1 or len(declared[0].shape) != 4:
        raise BundleError(f"it takes {_names(declared)}, but an image graph takes one batch of pictures")
    return Graph(session, _types(declared), _output(session), _takes_one(declared))


def text_graph(session: Session) -> Graph:
    """Describe a graph that embeds texts.

    Raises:
        BundleError: it takes something else than token ids and their mask.
    """
    declared = session.get_inputs()
    ids = next((one for one in declared if one.name in IDS), declared[0] if len(declared) == 1 else None)
    others = {one.name for one in declared if one is not ids} - {MASK, KINDS}
    if ids is None or others or len(ids.shape) != 2:
        raise BundleError(f"it takes {_names(declared)}, but a text graph takes token ids and their mask")
    length = ids.shape[1]
    return Graph(
        session, _types(declared), _output(session), _takes_one(declared), length if isinstance(length, int) else None
    )


def image_inputs(graph: Graph, pixels: Sequence[Pixels], preprocess: Preprocess) -> dict[str, Array]:
    """Pictures ``[S, S, 3]`` uint8 → the input of an image graph; normalised unless the graph does that itself."""
    ((name, kind),) = graph.inputs.items()
    batch = np.stack(pixels)
    if kind == np.uint8:
        return {name: batch}
    mean, std = (np.array(values, dtype=np.float32) * 255 for values in (preprocess.image_mean, preprocess.image_std))
    normalized = (batch.astype(np.float32) - mean) / std
    return {name: np.ascontiguousarray(normalized.transpose(0, 3, 1, 2), dtype=kind)}


def text_inputs(graph: Graph, ids: Array, mask: Array) -> dict[str, Array]:
    """Token ids and mask ``[N, L]`` → the inputs of a text graph."""
    inputs = {}
    for name, kind in graph.inputs.items():
        values = mask if name == MASK else np.zeros_like(ids) if name == KINDS else ids
        inputs[name] = values.astype(kind, copy=False)
    return inputs


def _types(declared: Sequence[Declared]) -> dict[str, Any]:
    if unknown := [one for one in declared if one.type not in TYPES]:
        raise BundleError(f"its input {unknown[0].name} is a {unknown[0].type}, which imtext does not know")
    return {one.name: TYPES[one.type] for one in declared}


def _takes_one(declared: Sequence[Declared]) -> bool:
    rows = declared[0].shape[0]
    if isinstance(rows, int) and rows != 1:
        raise BundleError(f"it takes exactly {rows} rows at a time; imtext runs graphs that take 1, or any number")
    return rows == 1


def _output(session: Session) -> str:
    names = [one.name for one in session.get_outputs()]
    if len(names) == 1:
        return names[0]
    known = [name for name in OUTPUTS if name in names]
    if not known:
        raise BundleError(f"it gives {', '.join(names)}, and none of them has a name of embeddings: "
                          f"{', '.join(OUTPUTS)}")  # fmt: skip
    return known[0]


def _names(declared: Sequence[Declared]) -> str:
    return ", ".join(f"{one.name} {list(one.shape)}" for one in declared)
