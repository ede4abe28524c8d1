"""Embed pictures and texts with the graphs of a bundle, by ONNX Runtime and without torch."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from imtext.errors import BundleError, ConfigError
from imtext.preprocess import Pixels
from imtext.preprocess.tokenizer import Tokenizer, load_tokenizer
from imtext.search.bundle import IMAGE, TEXT, Bundle
from imtext.search.manifest import EXPORT_AGAIN, TOKENIZER

Embeddings = npt.NDArray[np.float32]

BATCH = 32


class Encoder:
    """Runs a bundle's graphs; safe to use from several threads at once.

    Each graph is loaded when it is first used, so a text query does not wait for the image graph.

    Args:
        bundle: the bundle, as returned by `load_bundle`.
        threads: number of threads for one call; None: the number of cores.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self.bundle, self.threads = bundle, threads
        self._lock = threading.Lock()
        self._sessions: dict[str, Any] = {}

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Turns texts into the text graph's input.

        Raises:
            BundleError: the tokenizer does not agree with the manifest.
        """
        recorded, path = self.bundle.vocabulary, self.bundle.path / TOKENIZER
        try:
            content = self.bundle.read(TOKENIZER)
            tokenizer = load_tokenizer(content, recorded.kind, recorded.max_length, recorded.fixed_length)
        except ConfigError as error:
            raise BundleError(f"{path} cannot be used: {error}") from error
        if tokenizer.vocabulary != recorded:
            raise BundleError(f"{path} is not the tokenizer of the manifest ({tokenizer.vocabulary}, not {recorded})")
        return tokenizer

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """``N`` texts → ``[N, embed_dim]`` of unit length."""
        embeddings = np.zeros((len(texts), self.bundle.embed_dim), dtype=np.float32)
        ids, mask = self.tokenizer(texts)
        lengths = mask.sum(axis=1)
        if self.bundle.vocabulary.fixed_length:
            lengths[:] = ids.shape[1]
        # Texts of similar length are embedded together, because padding costs time.
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            longest = lengths[rows[-1]]
            inputs = {"input_ids": ids[rows, :longest], "attention_mask": mask[rows, :longest]}
            embeddings[rows] = self._embed(TEXT, inputs)
        return embeddings

    def encode_images(self, pixels: Iterable[Pixels]) -> Embeddings:
        """Pictures as `Preprocess.pixels` makes them → ``[N, embed_dim]`` of unit length."""
        batches, batch = [np.zeros((0, self.bundle.embed_dim), dtype=np.float32)], []
        for picture in pixels:
            batch.append(picture)
            if len(batch) == BATCH:
                batches.append(self._embed(IMAGE, {"image": np.stack(batch)}))
                batch = []
        if batch:
            batches.append(self._embed(IMAGE, {"image": np.stack(batch)}))
        return np.concatenate(batches)

    def run(self, graph: str, inputs: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """All outputs of one of the bundle's graphs.

        Args:
            graph: name of the graph, a key of `Bundle.graphs`.
            inputs: name → array, as the graph declares them.

        Raises:
            BundleError: the bundle has no such graph, or the graph cannot be loaded.
        """
        outputs: list[npt.NDArray[Any]] = self._session(graph).run(None, dict(inputs))
        return outputs

    def _embed(self, graph: str, inputs: Mapping[str, npt.NDArray[Any]]) -> Embeddings:
        (output,) = self.run(graph, inputs)
        if output.shape[1:] != (self.bundle.embed_dim,):
            raise BundleError(
                f"{self.bundle.path / self.bundle.graphs[graph]} gives embeddings of {output.shape[-1]} numbers, but "
                f"the manifest says {self.bundle.embed_dim}. {EXPORT_AGAIN}"
            )
        return np.asarray(output, dtype=np.float32)

    def _session(self, graph: str) -> Any:
        with self._lock:
            if graph not in self._sessions:
                self._sessions[graph] = self._load(graph)
            return self._sessions[graph]

    def _load(self, graph: str) -> Any:
        import onnxruntime

        graphs = self.bundle.graphs
        if graph not in graphs:
            raise BundleError(f"{self.bundle.path} has no graph {graph!r}, only {', '.join(graphs)}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads or os.cpu_count() or 1
        options.log_severity_level = 3
        # Spinning threads would take time from the threads that decode pictures.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        content = self.bundle.read(graphs[graph])  # checked again: another bundle may have replaced it
        try:
            return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            where = self.bundle.path / graphs[graph]
            raise BundleError(f"{where} cannot be loaded: {str(error).splitlines()[0]}") from error
