"""Join small files of the tables, and make and update their indexes, so that searches stay fast.

Everything is found without it, too: Lance reads rows that no index has yet.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from imtext.search.store.lance.nearest import DISTANCE
from imtext.search.store.lance.state import State, read_state
from imtext.search.store.lance.tables import FILES, PICTURES
from imtext.search.store.lance.writing import meanwhile

log = logging.getLogger(__name__)

COMMITS = 64  # after so many, their files are joined
LOOKED_UP = 10_000  # from so many pictures on, ids, contents and paths are looked up in indexes
VECTORS = 100_000  # from so many pictures on, there is a vector index
GROWN = 4  # the vector index learns its centres again when there are so many times as many pictures
PARTITION = 4_096  # vectors in one partition of the vector index
KEPT = timedelta(days=1)  # readers that hold a version that was replaced before have to refresh
SPARE = timedelta(minutes=1)  # between our look at the clock and Lance's
ITERATIONS = 20  # of learning centres
PARTS = 8  # with so many parts, the vector index is made anew
BITS = 2  # of a number in the codes of vectors
NEVER = timedelta(days=36_500)

VECTOR_INDEX = "vectors"
INDEXES = {PICTURES: ("id", "content"), FILES: ("path", "picture")}


def is_due(state: State, ended: bool) -> bool:
    """Is there enough to do?

    Args:
        state: the last commit.
        ended: an update has ended.
    """
    grown = abs(state.count - state.indexed) > max(LOOKED_UP, state.indexed // 8)
    return state.commits >= COMMITS or (ended and (grown or _needs_centres(state)))


def _needs_centres(state: State) -> bool:
    return state.count >= max(VECTORS, GROWN * state.trained)


def tend(tables: Mapping[str, Any], state: State, ended: bool) -> State:
    """Bring the tables in order; returns the next state, without the versions of tables.

    Raises:
        StoreError: another process writes at the same time.
    """
    trained, counts = state.trained, {name: table.count_rows() for name, table in tables.items()}
    if state.count >= LOOKED_UP:
        for name, columns in INDEXES.items():
            _index(tables[name], columns)
    if (ended and _needs_centres(state)) or _parts(tables[PICTURES]) >= PARTS:
        index_vectors(tables[PICTURES], state.count)
        trained = state.count
    for table in tables.values():
        table.optimize(cleanup_older_than=NEVER)
    if counts != {name: table.count_rows() for name, table in tables.items()}:  # Lance lets others add meanwhile
        raise meanwhile()
    return replace(state, number=state.number + 1, commits=0, indexed=state.count, trained=trained)


def _parts(table: Any) -> int:
    """The number of parts of the vector index: each update of it adds one, and a query looks into all of them."""
    stats = table.index_stats(VECTOR_INDEX)
    return stats.num_indices if stats is not None else 0


def _index(table: Any, columns: tuple[str, ...]) -> None:
    from lancedb.index import BTree

    known = {column for index in table.list_indices() for column in index.columns}
    for column in columns:
        if column not in known:
            table.create_index(column, config=BTree())


def index_vectors(table: Any, count: int) -> None:
    """Make the vector index, in place of an earlier one: partitions, and codes by RaBitQ (Gao and Long, 2024)."""
    from lancedb.index import IvfRq

    started = time.monotonic()
    log.info("Making the vector index of %s pictures …", f"{count:,}")
    config = IvfRq(distance_type=DISTANCE, target_partition_size=PARTITION, num_bits=BITS, max_iterations=ITERATIONS)
    table.create_index("vector", config=config, replace=True, name=VECTOR_INDEX)
    log.info("The vector index took %.0f s", time.monotonic() - started)


def prune(tables: Mapping[str, Any], commits: Any, location: str) -> None:
    """Remove the versions that were replaced long ago. The last commit must be written by then.

    Lance removes versions by when they were made, but one of last month may have been replaced a moment ago. So the
    commit that was the last one at the beginning of the time that is kept stays, and all after it.

    Args:
        tables: the tables, by name, at the versions of the last commit.
        commits: the table of commits; left at another version.
        location: URL of the store.
    """
    limit = time.time() - KEPT.total_seconds()
    older = [one["version"] for one in commits.list_versions() if one["timestamp"].timestamp() < limit]
    if not older:
        return
    commits.checkout(max(older))
    kept = read_state(commits, location)
    commits.checkout_latest()
    if kept.generation == read_state(commits, location).generation:  # else all versions of the tables are new
        for name, table in tables.items():
            _remove_before(table, kept.tables[name])
    _remove_before(commits, max(older))


def _remove_before(table: Any, version: int) -> None:
    """Remove the versions before one; none if that one was removed itself."""
    for one in table.list_versions():
        if one["version"] == version:
            age = timedelta(seconds=time.time() - one["timestamp"].timestamp())
            table.optimize(cleanup_older_than=age + SPARE)
