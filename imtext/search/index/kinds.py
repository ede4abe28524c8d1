"""The types of files, by their first bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from imtext.preprocess.formats import HEAD, sniff

THREADS = 16  # on a network drive, time is spent waiting
CHUNK = 256  # files


def kind_of(path: str) -> str:
    """The type of a regular file, such as ``JPEG`` or ``MOV``; empty if it is something else, or cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            return sniff(os.read(descriptor, HEAD))
        finally:
            os.close(descriptor)
    except OSError:
        return ""


def kinds_of(paths: Sequence[str]) -> list[str]:
    """The types of many files."""
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    if len(chunks) <= 1:
        return [kind_of(path) for path in paths]
    with ThreadPoolExecutor(THREADS, thread_name_prefix="sniff") as pool:
        return [kind for kinds in pool.map(lambda chunk: [kind_of(path) for path in chunk], chunks) for kind in kinds]
