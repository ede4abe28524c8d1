"""Find out what an earlier version has not recorded of its pictures: their facts and their hashes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from imtext.preprocess import open_image
from imtext.search.facts import Facts, read_facts
from imtext.search.files import picture_of, state_of
from imtext.search.store.protocol import Store
from imtext.search.store.records import File


def describe(store: Store, image_size: int, commit_seconds: float, progress: Callable[[int, int, str], None]) -> int:
    """Read pictures without facts or without a hash; nothing is embedded. Returns the number of pictures described.

    A picture whose files are missing, unreadable or changed is left for a later update.

    Args:
        store: written to by this process only.
        image_size: pixels that the shorter side of a decoded picture has at least, as for embedding.
        commit_seconds: time between two commits.
        progress: called with the number of pictures done, the number to do, and the path of the last one done.
    """
    files: dict[bytes, list[File]] = {}
    for file in store.without_facts():
        files.setdefault(file.content, []).append(file)
    facts: dict[bytes, Facts] = {}
    described, committed = 0, time.monotonic()
    pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="decode")
    try:
        reading = zip(files.items(), pool.map(partial(_read_first, image_size), files.values()), strict=True)
        for done, ((content, (file, *_)), read) in enumerate(reading, 1):
            progress(done, len(files), file.path)
            if read is not None:
                described += 1
                facts[content] = read
            if time.monotonic() - committed > commit_seconds:
                store.commit(facts=facts, sweep=False)
                facts, committed = {}, time.monotonic()
        store.commit(facts=facts, sweep=False)
    finally:
        pool.shutdown(cancel_futures=True)
    return described


def _read_first(image_size: int, files: Sequence[File]) -> Facts | None:
    """The facts of a picture by the first of its files that is as it was; None if there is none."""
    return next((facts for file in files if (facts := _read(file, image_size)) is not None), None)


def _read(file: File, image_size: int) -> Facts | None:
    try:
        if not File.found(file.path, state_of(file.path)).unchanged_since(file):
            return None
        source = picture_of(file.path)
        return read_facts(source, open_image(source, image_size))
    except (OSError, ValueError, MemoryError):
        return None
