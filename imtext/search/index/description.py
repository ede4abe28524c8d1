"""Read the facts of pictures that an earlier version has indexed without them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from imtext.search.facts import Facts, read_facts
from imtext.search.store.protocol import File, Store


def describe(store: Store, commit_seconds: float) -> int:
    """Read the headers of pictures without facts; nothing is embedded. Returns the number of pictures described.

    A picture whose files are missing, unreadable or changed is left for a later update.

    Args:
        store: written to by this process only.
        commit_seconds: time between two commits.
    """
    done: set[bytes] = set()
    facts: dict[bytes, Facts] = {}
    committed = time.monotonic()
    for file in store.without_facts():
        if file.content not in done and (read := _read(file)) is not None:
            done.add(file.content)
            facts[file.content] = read
        if time.monotonic() - committed > commit_seconds:
            store.commit(facts=facts, sweep=False)
            facts, committed = {}, time.monotonic()
    store.commit(facts=facts, sweep=False)
    return len(done)


def _read(file: File) -> Facts | None:
    try:
        if not File.found(file.path, os.stat(file.path)).unchanged_since(file):
            return None
        return read_facts(Path(file.path))
    except OSError:
        return None
