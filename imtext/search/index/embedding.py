"""Embed the files of an update: what an engine does, and the engine of this process."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Protocol

from imtext.search.encoder import BATCH, Encoder
from imtext.search.facts import Facts
from imtext.search.index.preparation import Known, Prepared, Preparer
from imtext.search.store.protocol import Store
from imtext.search.store.records import File, Grid, Vectors

WAIT_SECONDS = 2.0  # a picture waits no longer for others of its batch


@dataclass(frozen=True, slots=True)
class Embedded:
    """One file, ready to be committed.

    Attributes:
        file: the file with its content's hash, or with the reason why it was refused.
        vector: ``[embed_dim]``; None if the file was refused, or its content has a vector already.
        grid: for the bundle's re-ranker, if it was asked for.
        facts: of a picture with a vector.
    """

    file: File
    vector: Vectors | None = None
    grid: Grid | None = None
    facts: Facts | None = None


class Embedder(Protocol):
    """Reads, hashes, decodes and embeds files: in this process, or on many machines. It writes nothing."""

    def embed(self, files: Sequence[File], store: Store, grids: bool) -> Generator[Embedded, None, None]:
        """Every file, in order. Of equal contents, the first has the vector.

        Args:
            files: what `compare` found to be new or changed.
            store: knows which contents have a vector.
            grids: also give the grids of pictures for the bundle's re-ranker.
        """


class LocalEmbedder:
    """Embeds in this process.

    Args:
        encoder: encoder of the index's own bundle.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def embed(self, files: Sequence[File], store: Store, grids: bool) -> Generator[Embedded, None, None]:
        """See `Embedder.embed`."""
        yield from embed_files(self.encoder, files, store.known, grids)


def embed_files(
    encoder: Encoder, files: Sequence[File], known: Known, grids: bool, threads: int | None = None
) -> Generator[Embedded, None, None]:
    """Files → files with vectors, in order.

    Args:
        encoder: encoder of the index's own bundle.
        files: files to read.
        known: knows which contents have a vector.
        grids: also give grids.
        threads: number of files that are read and decoded at once; None: the number of cores.
    """
    waiting: list[Prepared] = []  # in order; files without pixels wait for those before them
    pictures, since = 0, time.monotonic()
    for prepared in Preparer(known, encoder.bundle.preprocess, threads).prepare(files):
        waiting.append(prepared)
        pictures += prepared.pixels is not None
        if pictures == BATCH or time.monotonic() - since > WAIT_SECONDS:
            yield from _embed(encoder, waiting, grids)
            waiting, pictures, since = [], 0, time.monotonic()
    yield from _embed(encoder, waiting, grids)


def _embed(encoder: Encoder, prepared: Sequence[Prepared], grids: bool) -> Generator[Embedded, None, None]:
    pixels = [one.pixels for one in prepared if one.pixels is not None]
    vectors: Iterable[Vectors] = ()
    each: Iterable[Grid | None] = repeat(None)  # without end
    if pixels and grids:
        vectors, each = encoder.encode_images_and_grids(pixels)
    elif pixels:
        vectors = encoder.encode_images(pixels)
    embedded = zip(vectors, each, strict=False)
    for one in prepared:
        if one.pixels is None:
            yield Embedded(one.file)
        else:
            yield Embedded(one.file, *next(embedded), one.facts)
