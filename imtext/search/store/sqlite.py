"""The default store: rows in one SQLite file, and a matrix of their vectors in a file next to it for searching."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from imtext.errors import SearchError
from imtext.search.filters import Filters
from imtext.search.leftovers import remove_leftovers
from imtext.search.store.columns import Columns
from imtext.search.store.matrix import Matrix, open_matrix
from imtext.search.store.records import Dated, Neighbors, Vectors, WordMatch, unread
from imtext.search.store.rows import Rows
from imtext.search.store.schema import create_rows

SCHEME = "sqlite"
ROWS, MATRIX = "index.sqlite", "vectors.cache"


class SQLiteStore(Rows):
    """A `Store` in a SQLite file.

    Args:
        path: path of the file.

    Raises:
        SearchError: the file does not exist or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._identity = _identity(path)  # before opening, so that a replacement in between is noticed
        super().__init__(path)
        if self.frozen:
            self._identity = _identity(path, content=True)
        self.location = f"{SCHEME}:///{path.absolute()}"
        self._matrix: Matrix | None = None
        self._columns: tuple[Matrix, Columns] | None = None  # read for the first filter
        self._refreshing = threading.RLock()

    model = ""  # the bundle lies beside it

    # ---- opening and closing

    @classmethod
    def open(cls, location: str) -> Self:
        """Open the store at ``sqlite:///relative/path`` or ``sqlite:////absolute/path``."""
        return cls(_path(location))

    @classmethod
    def create(cls, location: str, embed_dim: int, model: str = "") -> Self:
        """Open the store at a URL; create it if needed."""
        path = _path(location)
        path.parent.mkdir(parents=True, exist_ok=True)
        create_rows(path, embed_dim)
        return cls(path)

    @classmethod
    def exists(cls, location: str) -> bool:
        """Is there a file at this URL?"""
        return _path(location).is_file()

    @classmethod
    def rebuild(cls, location: str, embed_dim: int, model: str = "") -> None:
        """Replace the file by one without pictures; sources are kept, and all files are kept as `unread`."""
        path = _path(location)
        before = Rows(path)
        sources = before.sources()
        files = [unread(file.path, "not embedded again yet") for file in before.files()]
        before.close()
        fresh = path.with_name(f"{path.name}.fresh")
        fresh.unlink(missing_ok=True)
        create_rows(fresh, embed_dim)
        after = Rows(fresh)
        after.remember(sources)
        after.commit(files=files)
        after.close()
        for old in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm"), matrix_path(path)):
            old.unlink(missing_ok=True)
        fresh.replace(path)

    def replaced(self) -> bool:
        """Was the file replaced, or was it written to while opened as `frozen`? Costs one `stat`."""
        now = _identity(self.path, content=self.frozen)
        return now is not None and now != self._identity

    def tidy(self) -> None:
        """Remove unfinished matrices of killed processes."""
        remove_leftovers(self.path.parent, re.escape(matrix_path(self.path).name))

    def check(self) -> int:
        """Verify the tables, and all vectors in the rows and in the matrix; returns the number of pictures.

        Raises:
            SearchError: the tables contradict each other, a vector is not of unit length, or the matrix differs from
                the rows.
        """
        ((found,),) = self._query("PRAGMA integrity_check(1)")
        if found != "ok":
            raise SearchError(f"{self.path} is damaged ({found}). Delete the folder and index again")
        self.refresh()
        matrix = self._current()
        version, ids, blocks = self.vectors()
        same, place, total = matrix.ids.tolist() == ids.tolist(), 0, np.zeros(self.embed_dim)
        for block in blocks:
            if not (abs((block * block).sum(axis=1) - 1) < 1e-3).all():
                raise SearchError(
                    f"{self.path} holds vectors that are not of unit length. Delete the folder and index again"
                )
            end = place + len(block)
            same = same and np.array_equal(matrix.vectors[place:end], block)
            same = same and np.allclose(matrix.short[place:end], block @ matrix.axes, atol=1e-5)
            place, total = end, total + block.sum(axis=0)
        same = same and np.allclose(matrix.mean, total / max(1, place), atol=1e-5)
        if matrix.version == version and not same:
            raise SearchError(f"{matrix_path(self.path)} does not agree with the rows. Delete it")
        return len(ids)

    # ---- searching

    def refresh(self) -> bool:
        """Load what was committed since the last refresh; returns True if there was something new."""
        with self._refreshing:
            if self._matrix is not None and self._matrix.version == self.version():
                return False
            self._matrix = open_matrix(matrix_path(self.path), self)
            if self._columns is not None:  # filters are in use: the next search must not wait
                self._columns_of(self._matrix)
            return True

    def _current(self) -> Matrix:
        if self._matrix is None:
            self.refresh()
        assert self._matrix is not None
        return self._matrix

    def _columns_of(self, matrix: Matrix) -> Columns:
        with self._refreshing:
            if self._columns is None or self._columns[0] is not matrix:
                self._columns = matrix, Columns.build(matrix.ids, self.all_facts(), self.names(), self.sources())
            return self._columns[1]

    @property
    def size(self) -> int:
        """Number of pictures that `nearest` searches."""
        return len(self._current().ids)

    def nearest(
        self, queries: Vectors, top_k: int, filters: Filters | None = None, approximate: bool = False
    ) -> Neighbors:
        """The pictures nearest to each of ``[Q, embed_dim]`` query vectors, of those that pass."""
        matrix = self._current()
        among = self._columns_of(matrix).passing(filters) if filters else None
        places, scores = matrix.top_k(queries, top_k, among, approximate)
        return Neighbors(matrix.version, matrix.ids[places], scores, matrix.mean, len(matrix.ids))

    def find_words(self, words: Sequence[str], limit: int, filters: Filters | None = None) -> list[WordMatch]:
        """Pictures with words of a query, of those that pass; best first."""
        matrix = self._current()
        among = self._columns_of(matrix).passing(filters) if filters else None

        def passes(id: int) -> bool:
            place = matrix.place(id)
            return place is not None and (among is None or bool(among[place]))

        return [found for found in self.match_words(words) if passes(found.id)][:limit]

    def by_date(self, filters: Filters) -> Dated:
        """All pictures that pass, newest first."""
        matrix = self._current()
        columns = self._columns_of(matrix)
        places = columns.by_date(filters)
        return Dated(matrix.version, matrix.ids[places], columns.date[places])

    def vector_of(self, id: int) -> Vectors | None:
        """The vector ``[embed_dim]`` of one picture."""
        matrix = self._current()
        place = matrix.place(id)
        return None if place is None else np.array(matrix.vectors[place])

    def ids(self, offset: int = 0, limit: int | None = None) -> list[int]:
        """A page of the ids of all pictures, in the order in which they were indexed."""
        page: list[int] = self._current().ids[offset:][:limit].tolist()
        return page


def _path(location: str) -> Path:
    path = location.removeprefix(f"{SCHEME}:///")
    if path in (location, ""):
        raise SearchError(f"{location} names no file: write sqlite:///relative/path or sqlite:////absolute/path")
    return Path(path)


def matrix_path(path: Path) -> Path:
    """The path of a store's matrix."""
    return path.with_name(MATRIX if path.name == ROWS else f"{path.name}.{MATRIX}")


def _identity(path: Path, content: bool = False) -> tuple[int, ...] | None:
    """Distinguishes a file from another one of the same name; with `content` also from its earlier content."""
    try:
        state = path.stat()
    except OSError:
        return None
    return (state.st_ino, state.st_size, state.st_mtime_ns) if content else (state.st_ino,)
