"""The rows of a store as of the last commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np

from imtext.search.facts import Facts
from imtext.search.store.lance.pictures import FACTS, FILE, facts_of, file_of
from imtext.search.store.lance.state import TABLE
from imtext.search.store.lance.tables import Snapshot, connect, errors, is_elsewhere, latest, normal, rows_with, select
from imtext.search.store.lance.writing import below_folder
from imtext.search.store.records import File, Grid

LOOK_SECONDS = 0.2  # an object store is asked for new commits at most so often


class Rows:
    """The tables of an index, for reading.

    On an object store, rows may be 0.2 seconds older than the last commit of another process.

    Args:
        location: URL.

    Raises:
        SearchError: there is no index, or it is not one that this imtext can read.
        StoreError: the tables cannot be read.
    """

    def __init__(self, location: str) -> None:
        self.location = normal(location)
        self._db = connect(location)
        self._lock = threading.RLock()
        with errors(self.location, "opened"):
            self._state_table = self._db.open_table(TABLE)
            self._last, self._seen = latest(self._db, self._state_table, self.location), self._state_table.version
        self._looked = time.monotonic()
        state = self._last.state
        self.embed_dim, self.model, self._generation, self._newest = state.embed_dim, state.model, state.generation, ""

    def _latest(self, look: bool = False) -> Snapshot:
        """The last commit, or that of the store that this one was before it was replaced."""
        with self._lock:
            if not look and is_elsewhere(self.location) and time.monotonic() - self._looked < LOOK_SECONDS:
                return self._last
            with errors(self.location, "read"):
                self._state_table.checkout_latest()
                self._looked = time.monotonic()
                if (version := self._state_table.version) != self._seen:
                    found = latest(self._db, self._state_table, self.location)
                    self._seen, self._newest = version, found.state.generation
                    if found.state.generation == self._generation:
                        self._last = found
            return self._last

    def version(self) -> int:
        """Version of the rows: a random number that every commit of pictures or files draws again."""
        return self._latest().state.version

    def count(self) -> int:
        """Number of different pictures that at least one file has."""
        return self._latest().state.count

    def files(self, below: str | None = None) -> Iterator[File]:
        """All known files, or those below a folder, in order of path, including refused files."""
        return self._files("" if below is None else below_folder(below))

    def _files(self, where: str) -> Iterator[File]:
        with errors(self.location, "read"):
            found = select(self._latest().files, FILE, where).sort_by("path")
        return (file_of(row) for batch in found.to_batches(4_096) for row in batch.to_pylist())

    def refused(self) -> dict[str, str]:
        """Path → reason of every known file that was refused."""
        return {file.path: file.reason for file in self._files("reason != ''")}

    def known(self, contents: Sequence[bytes]) -> set[bytes]:
        """The contents that already have a vector."""
        wanted = [content.hex() for content in contents]
        with errors(self.location, "read"):
            found = rows_with(self._latest().pictures, "content", wanted, ["content"])
        return {bytes.fromhex(content) for content in found["content"].to_pylist()}

    def held(self, ids: Sequence[int]) -> dict[int, list[File]]:
        """Id → the files that have this picture, in alphabetical order; ids without files are left out."""
        found: dict[int, list[File]] = {}
        with errors(self.location, "read"):
            rows = rows_with(self._latest().files, "picture", list(dict.fromkeys(ids)), [*FILE, "picture"])
        for row in rows.sort_by("path").to_pylist():
            found.setdefault(row["picture"], []).append(file_of(row))
        return found

    def find(self, content: bytes) -> tuple[int, list[File]] | None:
        """The id of the picture with this content, and the files that have it; None if there is none."""
        with errors(self.location, "read"):
            rows = rows_with(self._latest().pictures, "content", [content.hex()], ["id"])
        for id in rows["id"].to_pylist():
            if files := self.held([id]).get(id):
                return id, files
        return None

    def grids(self, ids: Sequence[int]) -> dict[int, Grid]:
        """Id → the grid of this picture; ids without a grid are left out."""
        with errors(self.location, "read"):
            found = rows_with(self._latest().pictures, "id", list(dict.fromkeys(ids)), ["id", "places", "grid"])
        return {
            row["id"]: np.frombuffer(row["grid"], "<f2").reshape(row["places"], -1)
            for row in found.to_pylist()
            if row["grid"] is not None
        }

    def facts(self, ids: Sequence[int]) -> dict[int, Facts]:
        """Id → the facts of this picture; ids without facts are left out."""
        with errors(self.location, "read"):
            found = rows_with(self._latest().pictures, "id", list(dict.fromkeys(ids)), ["id", "described", *FACTS])
        return {row["id"]: facts_of(row) for row in found.to_pylist() if row["described"]}

    def without_facts(self) -> list[File]:
        """The files of pictures without facts or a hash."""
        return self._files_of("NOT described OR hash IS NULL")

    def without_text(self) -> list[File]:
        """The files of pictures in which no text was looked for."""
        return self._files_of("described AND text IS NULL")

    def _files_of(self, where: str) -> list[File]:
        last = self._latest()
        with errors(self.location, "read"):
            ids = select(last.pictures, ["id"], where)["id"].to_pylist()
            found = rows_with(last.files, "picture", ids, FILE)
        return [file_of(row) for row in found.sort_by("path").to_pylist()]

    def sources(self) -> list[str]:
        """Folders, patterns and lists that were indexed, in order of name."""
        return sorted(self._latest().state.sources)
