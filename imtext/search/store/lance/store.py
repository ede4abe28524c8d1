"""A `Store` in tables of Lance, in a folder or on an object store."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Self

import numpy as np

from imtext.errors import SearchError, StoreError
from imtext.search.facts import Facts
from imtext.search.filters import Filters
from imtext.search.store.lance.conditions import condition
from imtext.search.store.lance.nearest import nearest
from imtext.search.store.lance.pictures import file_row, vectors_of
from imtext.search.store.lance.rows import Rows
from imtext.search.store.lance.state import TABLE, State, read_state, write_state
from imtext.search.store.lance.tables import (
    ERRORS,
    FILES,
    PICTURES,
    TABLES,
    Snapshot,
    batches,
    connect,
    errors,
    is_in,
    schema,
    select,
    table_name,
)
from imtext.search.store.lance.upkeep import is_due, prune, tend
from imtext.search.store.lance.words import index_words, match
from imtext.search.store.lance.writing import Changes, apply, plan, plan_sources
from imtext.search.store.records import Dated, File, Neighbors, Picture, Vectors, WordMatch, unread

log = logging.getLogger(__name__)

SCHEMES = ("lance", "lance+s3")
DAY = 86_400.0  # seconds that the tables of a replaced index stay, for servers that still read them


class LanceStore(Rows):
    """A `Store` at ``lance:///absolute/folder`` or ``lance+s3://bucket/prefix``; see `Rows`.

    Searches read what they need from the tables; this object itself holds only the ids of pictures.
    """

    _searched: Snapshot | None = None

    # ---- opening and closing

    @classmethod
    def open(cls, location: str) -> Self:
        """Open the store at a URL."""
        if not cls.exists(location):
            raise SearchError(f"There is no index in {location}. Create one: imtext index <folder> --store {location}")
        return cls(location)

    @classmethod
    def create(cls, location: str, embed_dim: int, model: str = "") -> Self:
        """Open the store at a URL; create it if needed."""
        if not cls.exists(location):
            db = connect(location, make=True)
            with errors(location, "created"):
                state = _new_generation(db, State(1, "", embed_dim, model))
                _write_first(db, state)
        return cls(location)

    @classmethod
    def exists(cls, location: str) -> bool:
        """Is there a store at this URL?"""
        try:
            db = connect(location)
        except SearchError:
            return False
        with errors(location, "opened"):
            return TABLE in db.list_tables().tables

    @classmethod
    def rebuild(cls, location: str, embed_dim: int, model: str = "") -> None:
        """Replace the tables by new ones without pictures; sources are kept, and all files are kept as `unread`."""
        before = cls(location)
        old = before._latest(look=True).state
        files = [unread(file.path, "not embedded again yet") for file in before.files()]
        with errors(location, "written"):
            fresh = State(
                old.number + 1, "", embed_dim, model, random.getrandbits(62), next_id=old.next_id, sources=old.sources,
                replaced=(old.generation, time.time()),
            )  # fmt: skip
            fresh = _new_generation(before._db, fresh, files)
            write_state(before._state_table, fresh, location)

    def close(self) -> None:
        """Release files and connections."""
        self._searched = None

    def replaced(self) -> bool:
        """Was this store replaced by another one? On an object store this costs one request."""
        self._latest()
        return self._newest not in ("", self._generation)

    def tidy(self) -> None:
        """Remove tables that killed processes left, and those of an index that was replaced a day ago."""
        with self._lock, errors(self.location, "written"):
            state = self._latest(look=True).state
            older, when = state.replaced
            kept = {state.generation, older if time.time() - when < DAY else ""}
            for name in self._db.list_tables().tables:
                if name != TABLE and name.rpartition("_")[2] not in kept:
                    self._db.drop_table(name)

    def check(self) -> int:
        """Verify all vectors, and the number and the mean of them; returns the number of pictures."""
        self.refresh()
        found, total = 0, np.zeros(self.embed_dim)
        last = self._current()
        with errors(self.location, "read"):
            for batch in batches(last.pictures, ["vector"], last.held):
                block = vectors_of(batch, self.embed_dim)
                if not (abs((block * block).sum(axis=1) - 1) < 1e-3).all():
                    raise SearchError(f"{self.location} holds vectors that are not of unit length. Index again")
                found, total = found + len(block), total + block.sum(axis=0, dtype=np.float64)
        if found != last.state.count or not np.allclose(total, last.state.sum, atol=1e-5 * max(1, found)):
            raise SearchError(f"{self.location} is damaged: {found:,} vectors, not {last.state.count:,}. Index again")
        return found

    # ---- searching

    def refresh(self) -> bool:
        """Load what was committed since the last refresh; returns True if there was something new."""
        last, before = self._latest(look=True), self._searched
        self._searched = last
        return before is None or before.state.version != last.state.version

    def _current(self) -> Snapshot:
        found = self._searched
        if found is None:
            found = self._searched = self._latest(look=True)
        return found

    @property
    def size(self) -> int:
        """Number of pictures that `nearest` searches."""
        return self._current().state.count

    def nearest(
        self, queries: Vectors, top_k: int, filters: Filters | None = None, approximate: bool = False
    ) -> Neighbors:
        """The pictures nearest to each of ``[Q, embed_dim]`` query vectors, of those that pass."""
        found = self._current()
        state = found.state
        ids, scores = np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.float32)
        if (k := min(top_k, state.count)) > 0 and len(queries):
            with errors(self.location, "read"):
                where = condition(filters, found)
                each = [nearest(found.pictures, query, k, where, approximate) for query in queries]
            ids, scores = np.stack([one[0] for one in each]), np.stack([one[1] for one in each])
        return Neighbors(state.version, ids, scores, state.mean, state.count)

    def find_words(self, words: Sequence[str], limit: int, filters: Filters | None = None) -> list[WordMatch]:
        """Pictures with words of a query, of those that pass; best first. Words are read as of the last commit."""
        searched, last = self._current(), self._latest()
        if not words or not searched.state.count:
            return []
        with errors(self.location, "read"):
            found = match(last.pictures, words, condition(filters, last))
        if searched.state.version != last.state.version:
            found = [one for one in found if _place(searched, one.id) is not None]
        return found[:limit]

    def by_date(self, filters: Filters) -> Dated:
        """All pictures that pass, newest first."""
        found = self._current()
        with errors(self.location, "read"):
            rows = select(found.pictures, ["id", "date"], condition(filters, found))
        ids, dates = rows["id"].to_numpy(), rows["date"].to_numpy()
        order = np.lexsort((ids, -dates))
        return Dated(found.state.version, ids[order].astype(np.int64), dates[order].astype("datetime64[s]"))

    def vector_of(self, id: int) -> Vectors | None:
        """The vector ``[embed_dim]`` of one picture."""
        found = self._current()
        if id in found.state.unheld:
            return None
        with errors(self.location, "read"):
            rows = select(found.pictures, ["vector"], is_in("id", [int(id)]))
        return np.array(vectors_of(rows, self.embed_dim)[0], dtype=np.float32) if len(rows) else None

    def ids(self, offset: int = 0, limit: int | None = None) -> list[int]:
        """A page of the ids of all pictures, in the order in which they were indexed."""
        with errors(self.location, "read"):
            page: list[int] = self._current().ids[offset:][:limit].tolist()
        return page

    # ---- writing

    def commit(
        self,
        pictures: Iterable[Picture] = (),
        files: Iterable[File] = (),
        gone: Iterable[str] = (),
        sweep: bool = True,
        facts: Mapping[bytes, Facts] | None = None,
        texts: Mapping[bytes, str] | None = None,
    ) -> None:
        """Add pictures, add or update files, forget files; all or nothing. See `Store.commit`."""
        added, named, left = [*pictures], [*files], [*gone]  # errors in these are not those of Lance
        self._write(lambda base: plan(base, added, named, left, sweep, facts or {}, texts or {}))
        if is_due(self._last.state, ended=sweep):
            try:
                self.tend(sweep)
            except StoreError as error:  # what was committed is there, and found without it
                log.warning("%s", error)

    def remember(self, sources: Iterable[str], forget: Iterable[str] = ()) -> None:
        """Add to the sources, and remove some."""
        kept = {*self.sources(), *sources} - {*forget}
        self._write(lambda base: plan_sources(base, sorted(kept)))

    def tend(self, ended: bool = True) -> None:
        """Bring the tables in order, see `upkeep`; an update does this where there is enough to do."""
        with self._lock, errors(self.location, "written"):
            base, tables = self._begin()
            state = tend(tables, base.state, ended)
            self._end(state, {name: int(table.version) for name, table in tables.items()})
            _, tables = self._begin()
            prune(tables, self._db.open_table(TABLE), self.location)

    def _write(self, planned: Callable[[Snapshot], Changes]) -> None:
        with self._lock, errors(self.location, "written"):
            base, tables = self._begin()
            changes = planned(base)
            if changes.state is not None:
                versions = apply(tables, changes, self.embed_dim)
                self._end(replace(changes.state, commits=base.state.commits + 1), versions)

    def _begin(self) -> tuple[Snapshot, dict[str, Any]]:
        """The last commit, and the tables as it left them: what a killed process has added since is taken back."""
        base = self._latest(look=True)
        tables = {name: self._db.open_table(table_name(name, self._generation)) for name in TABLES}
        for name, table in tables.items():
            if table.version != base.state.tables[name]:
                table.checkout(base.state.tables[name])
                table.restore()
        return base, tables

    def _end(self, state: State, versions: dict[str, int]) -> None:
        write_state(self._state_table, replace(state, tables=versions), self.location)
        self._latest(look=True)


def _new_generation(db: Any, state: State, files: Sequence[File] = ()) -> State:
    """Make tables that nobody knows yet; returns the state that names them."""
    import pyarrow as pa

    state = replace(state, generation=uuid.uuid4().hex)
    tables = {
        name: db.create_table(table_name(name, state.generation), schema=schema(name, state.embed_dim))
        for name in TABLES
    }
    index_words(tables[PICTURES])
    if files:
        tables[FILES].add(pa.Table.from_pylist([file_row(file, None) for file in files], tables[FILES].schema))
    return replace(state, tables={name: int(table.version) for name, table in tables.items()})


def _write_first(db: Any, state: State) -> None:
    import pyarrow as pa

    with suppress(*ERRORS):  # another process was faster
        db.create_table(TABLE, pa.table({"number": [state.number], "state": [state.write()]}))
    read_state(db.open_table(TABLE), "")


def _place(searched: Snapshot, id: int) -> int | None:
    place = int(np.searchsorted(searched.ids, id))
    return place if place < len(searched.ids) and searched.ids[place] == id else None
