"""What a worker of a cluster does: read, hash, decode and embed some files. It writes nothing."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

import imtext
from imtext.errors import SearchError
from imtext.search.bundle import IMAGE, Bundle
from imtext.search.encoder import Encoder
from imtext.search.index.embedding import Embedded, embed_files
from imtext.search.store.records import File

Contents = npt.NDArray[np.bytes_]

READ_AHEAD = 4  # files that a worker reads at once: one is decoded, the others wait for a disk or a network

_encoders: dict[str, Encoder] = {}  # the encoder of this process, by the fingerprint of its bundle


@dataclass(frozen=True)
class Job:
    """What all workers of an update are told.

    Attributes:
        version: version of imtext that asks; another one could embed differently.
        fingerprint: of the bundle.
        bundle: a reference to the bundle in Ray's object store, as of `pack_bundle`.
        contents: a reference to the contents that have a vector already, as of `pack_contents`.
        grids: also give grids.
        threads: number of threads of a worker.
    """

    version: str
    fingerprint: str
    bundle: Any
    contents: Any
    grids: bool
    threads: int = 1


@dataclass(frozen=True)
class Done:
    """Files that a worker has embedded, and the name of its machine."""

    files: tuple[Embedded, ...]
    node: str


@dataclass(frozen=True)
class PackedBundle(Bundle):
    """A bundle in memory, with the graph of pictures alone: machines need not share a disk."""

    files: Mapping[str, bytes] = field(default_factory=dict)

    def read(self, name: str) -> bytes:
        """The content of one file."""
        return self.files[name]


def pack_bundle(bundle: Bundle) -> PackedBundle:
    """Read what workers need of a bundle.

    Raises:
        BundleError: a file is missing, or has changed since the bundle was opened.
    """
    name = bundle.graphs[IMAGE]
    settings = {one.name: getattr(bundle, one.name) for one in fields(bundle)}
    return PackedBundle(**settings, files={name: bundle.read(name)})


def pack_contents(contents: Sequence[bytes]) -> Contents:
    """Contents in order, as one array that all processes of a machine share."""
    return np.unique(np.array(contents, dtype="S16"))


def is_among(contents: Contents) -> Callable[[Sequence[bytes]], set[bytes]]:
    """A function that says which contents are among packed ones."""

    def known(asked: Sequence[bytes]) -> set[bytes]:
        if not len(contents):
            return set()
        wanted = np.array(asked, dtype="S16")
        places = np.searchsorted(contents, wanted).clip(max=len(contents) - 1)
        return {one for one, is_known in zip(asked, contents[places] == wanted, strict=True) if is_known}

    return known


def embed_chunk(files: Sequence[File], job: Job, get: Callable[[Any], Any]) -> Done:
    """Embed some files. Each process opens the bundle once.

    Args:
        files: files to read.
        job: what to do.
        get: reads a reference of the job.

    Raises:
        SearchError: this machine has another version of imtext.
    """
    node = platform.node()
    if imtext.__version__ != job.version:
        raise SearchError(
            f"{node} has imtext {imtext.__version__}, but this machine has {job.version}. Install the same version on "
            "all machines of the cluster"
        )
    if job.fingerprint not in _encoders:
        _encoders.clear()
        _encoders[job.fingerprint] = Encoder(get(job.bundle), job.threads)
    known = is_among(get(job.contents))
    return Done(tuple(embed_files(_encoders[job.fingerprint], files, known, job.grids, READ_AHEAD)), node)
