"""Pictures and texts → embeddings, by ONNX Runtime. What a bundle can do, without torch."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from imtext.errors import BundleError
from imtext.preprocess import Pixels
from imtext.search.bundle import IMAGE_GRAPH, TEXT_GRAPH, TOKENIZER, Bundle

Embeddings = npt.NDArray[np.float32]

PAD_ID, UNK_ID = 0, 1  # as in training
BATCH = 32


class Encoder:
    """Runs a bundle's graphs; safe to use from several threads at once.

    Each graph is loaded when it is first needed: a text query never waits for the image graph.

    Args:
        bundle: checked, as `load_bundle` returns it.
        threads: for one call; None lets as many as there are cores work.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self.bundle, self.threads = bundle, threads
        self._lock = threading.Lock()
        self._sessions: dict[str, Any] = {}

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The vocabulary."""
        content = self.bundle.read(TOKENIZER)
        try:
            tokenizer = Tokenizer.from_buffer(content)
        except Exception as error:
            raise BundleError(f"{self.bundle.path / TOKENIZER} is not a vocabulary: {error}") from error
        tokenizer.no_padding()  # batches are padded below
        return tokenizer

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """``N`` texts → ``[N, embed_dim]`` of unit length."""
        if not texts:
            return np.zeros((0, self.bundle.embed_dim), dtype=np.float32)
        # Surrogates, which file names can hold, are no text for the vocabulary's library.
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(clean)]
        # Texts of like length together: padding is work.
        order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        embeddings = np.empty((len(tokens), self.bundle.embed_dim), dtype=np.float32)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            ids = np.full((len(rows), len(tokens[rows[-1]])), PAD_ID, dtype=np.int64)
            mask = np.zeros(ids.shape, dtype=np.bool_)
            for line, row in enumerate(rows):
                ids[line, : len(tokens[row])], mask[line, : len(tokens[row])] = tokens[row], True
            embeddings[rows] = self._run(TEXT_GRAPH, {"input_ids": ids, "attention_mask": mask})
        return embeddings

    def encode_images(self, pixels: Iterable[Pixels]) -> Embeddings:
        """Pictures as `Preprocess.pixels` makes them → ``[N, embed_dim]`` of unit length."""
        batches, batch = [np.zeros((0, self.bundle.embed_dim), dtype=np.float32)], []
        for picture in pixels:
            batch.append(picture)
            if len(batch) == BATCH:
                batches.append(self._run(IMAGE_GRAPH, {"image": np.stack(batch)}))
                batch = []
        if batch:
            batches.append(self._run(IMAGE_GRAPH, {"image": np.stack(batch)}))
        return np.concatenate(batches)

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that were in no training caption; the model reads all of them alike."""
        encoding = self.tokenizer.encode(text.encode("utf-8", "replace").decode())
        return [
            text[slice(*span)] for number, span in zip(encoding.ids, encoding.offsets, strict=True) if number == UNK_ID
        ]

    def knows(self, text: str) -> bool:
        """Was any word of a text in a training caption? Marks of punctuation are no words."""
        encoding = self.tokenizer.encode(text.encode("utf-8", "replace").decode())
        return any(
            number != UNK_ID and any(map(str.isalnum, text[slice(*span)]))
            for number, span in zip(encoding.ids, encoding.offsets, strict=True)
        )

    def _run(self, graph: str, inputs: dict[str, npt.NDArray[Any]]) -> Embeddings:
        (output,) = self._session(graph).run(None, inputs)
        if output.shape[1:] != (self.bundle.embed_dim,):
            raise BundleError(
                f"{self.bundle.path / graph} gives embeddings of {output.shape[-1]} numbers, and the manifest says "
                f"{self.bundle.embed_dim}. Export it again: imtext export <run>"
            )
        return np.asarray(output, dtype=np.float32)

    def _session(self, graph: str) -> Any:
        with self._lock:
            if graph not in self._sessions:
                import onnxruntime

                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = self.threads or os.cpu_count() or 1
                options.log_severity_level = 3
                # Threads that wait by spinning take the time of those that decode pictures.
                options.add_session_config_entry("session.intra_op.allow_spinning", "0")
                content = self.bundle.read(graph)  # checked again: another may have taken its place
                try:
                    self._sessions[graph] = onnxruntime.InferenceSession(
                        content, options, providers=["CPUExecutionProvider"]
                    )
                except Exception as error:
                    where = self.bundle.path / graph
                    raise BundleError(f"{where} cannot be loaded: {str(error).splitlines()[0]}") from error
            return self._sessions[graph]
