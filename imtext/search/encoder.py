"""Embed pictures and texts with the graphs of a bundle, by ONNX Runtime and without torch."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from imtext.errors import BundleError, ConfigError
from imtext.preprocess import Pixels
from imtext.preprocess.tokenizer import Tokenizer, load_tokenizer
from imtext.search.bundle import IMAGE, RERANKER, TEXT, Bundle
from imtext.search.graph import Graph, image_graph, image_inputs, open_session, run, text_graph, text_inputs
from imtext.search.manifest import EXPORT_AGAIN, TOKENIZER

Embeddings = npt.NDArray[np.float32]
Grids = npt.NDArray[np.float16]

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
        self._graphs: dict[str, Graph] = {}

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
            graph = self._graph(TEXT)
            embeddings[rows], _ = self._embed(TEXT, text_inputs(graph, ids[rows, :longest], mask[rows, :longest]))
        return embeddings

    def encode_images(self, pixels: Iterable[Pixels]) -> Embeddings:
        """Pictures as `Preprocess.pixels` makes them → ``[N, embed_dim]`` of unit length."""
        batches = [self._embed(IMAGE, self._image_inputs(batch))[0] for batch in _batches(pixels)]
        return np.concatenate([np.zeros((0, self.bundle.embed_dim), dtype=np.float32), *batches])

    def encode_images_and_grids(self, pixels: Iterable[Pixels]) -> tuple[Embeddings, Grids]:
        """Like `encode_images`, with the grids of the re-ranker ``[N, P, grid_dim]`` from the same run of the graph.

        Raises:
            BundleError: the bundle has no re-ranker.
        """
        if self.bundle.reranker is None:
            raise BundleError(f"{self.bundle.path} has no re-ranker")
        embeddings, grids = [np.zeros((0, self.bundle.embed_dim), dtype=np.float32)], []
        for batch in _batches(pixels):
            vectors, (grid,) = self._embed(IMAGE, self._image_inputs(batch), "grid")
            embeddings.append(vectors)
            grids.append(grid)
        return np.concatenate(embeddings), np.concatenate(
            [np.zeros((0, *self.bundle.reranker.grid), dtype=np.float16), *grids]
        )

    def rerank(self, text: str, grids: Grids, similarity: Embeddings) -> Embeddings:
        """Score the candidates of one text again.

        Args:
            text: the text.
            grids: ``[K, P, grid_dim]``.
            similarity: ``[K]``, of the dual encoder.

        Returns:
            ``[K]`` new scores on the scale of the similarity.

        Raises:
            BundleError: the bundle has no re-ranker.
        """
        ids, mask = self.tokenizer([text])
        inputs: dict[str, npt.NDArray[Any]] = {"grid": grids, "input_ids": ids, "attention_mask": mask}
        return np.asarray(self.run(RERANKER, {**inputs, "similarity": similarity})[0], dtype=np.float32)

    def run(self, graph: str, inputs: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """All outputs of one of the bundle's graphs.

        Args:
            graph: name of the graph, a key of `Bundle.graphs`.
            inputs: name → array, as the graph declares them.

        Raises:
            BundleError: the bundle has no such graph, or the graph cannot be loaded.
        """
        outputs: list[npt.NDArray[Any]] = run(self._session(graph), None, dict(inputs))
        return outputs

    def _image_inputs(self, batch: Sequence[Pixels]) -> dict[str, npt.NDArray[Any]]:
        return image_inputs(self._graph(IMAGE), batch, self.bundle.preprocess)

    def _embed(
        self, graph: str, inputs: Mapping[str, npt.NDArray[Any]], *more: str
    ) -> tuple[Embeddings, list[npt.NDArray[Any]]]:
        output, others = self._graph(graph).embed_and(inputs, *more)
        if output.shape[1:] != (self.bundle.embed_dim,):
            raise BundleError(
                f"{self.bundle.path / self.bundle.graphs[graph]} gives embeddings of {output.shape[-1]} numbers, but "
                f"the manifest says {self.bundle.embed_dim}. {EXPORT_AGAIN}"
            )
        return output, others

    def _graph(self, graph: str) -> Graph:
        session = self._session(graph)
        if graph not in self._graphs:
            try:
                self._graphs[graph] = image_graph(session) if graph == IMAGE else text_graph(session)
            except BundleError as error:
                raise BundleError(f"{self.bundle.path / self.bundle.graphs[graph]} cannot be used: {error}") from error
        return self._graphs[graph]

    def _session(self, graph: str) -> Any:
        with self._lock:
            if graph not in self._sessions:
                self._sessions[graph] = self._load(graph)
            return self._sessions[graph]

    def _load(self, graph: str) -> Any:
        graphs = self.bundle.graphs
        if graph not in graphs:
            raise BundleError(f"{self.bundle.path} has no graph {graph!r}, only {', '.join(graphs)}")
        content = self.bundle.read(graphs[graph])  # checked again: another bundle may have replaced it
        try:
            return open_session(content, self.threads)
        except BundleError as error:
            raise BundleError(f"{self.bundle.path / graphs[graph]} {error}") from error


def _batches(pixels: Iterable[Pixels]) -> Iterator[list[Pixels]]:
    batch = []
    for picture in pixels:
        batch.append(picture)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
