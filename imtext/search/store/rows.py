"""The rows of an index in one SQLite file: pictures, files and sources."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from imtext.errors import SearchError, StoreError
from imtext.search.facts import Facts
from imtext.search.store.protocol import File, Grid, Ids, Picture, Vectors
from imtext.search.store.schema import GRIDS, SCHEMA, connect, is_upgraded, upgrade

BLOCK = 4096  # vectors read at once


class Rows:
    """One SQLite file in write-ahead mode: one writer, and any number of readers that never wait for it.

    Args:
        path: path of the file.

    Attributes:
        frozen: SQLite cannot write next to the file, as on a read-only mount. Later commits of other processes are not
            seen.
        embed_dim: length of the vectors.

    Raises:
        SearchError: the file does not exist, or is not an index that this imtext can read.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SearchError(f"There is no index in {path.parent}. Create one: imtext index <folder of pictures>")
        self.path, self.frozen, self._is_upgraded = path, False, False
        self._address, self._lock = path.absolute().as_uri(), threading.RLock()
        try:
            if os.access(path.parent, os.W_OK):
                self._address += "?mode=rw"  # never create a file: a deleted index must not come back
                self._db = connect(self._address)
                self._db.execute("PRAGMA journal_mode = WAL")
            else:
                self._db = self._connect_to_read()
            self._db.execute("PRAGMA synchronous = NORMAL")  # intact after a kill; intact but older after a power cut
            self._db.execute("PRAGMA foreign_keys = ON")
            facts = dict(self._db.execute("SELECT name, value FROM facts"))
        except sqlite3.OperationalError as error:  # locked, or the disk is full: deleting the index would not help
            raise SearchError(f"{path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            raise SearchError(
                f"{path} cannot be read as an index ({error}). Delete the folder and index again"
            ) from error
        if facts["schema"] != SCHEMA:
            raise SearchError(
                f"{path} is an index of schema {facts['schema']}, but this imtext reads {SCHEMA}. "
                "Delete the folder and index again"
            )
        self.embed_dim = int(facts["embed_dim"])

    def _connect_to_read(self) -> sqlite3.Connection:
        self._address += "?mode=ro"
        try:
            connection = connect(self._address)
            connection.execute("PRAGMA schema_version")  # connecting alone reads nothing
        except sqlite3.OperationalError:
            # In write-ahead mode even a reader needs files next to the database, unless a writer has created them.
            self._address, self.frozen = f"{self._address}&immutable=1", True
            connection = connect(self._address)
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, self._errors("written"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk ends the transaction
                    self._db.execute("ROLLBACK")
                raise

    def _query(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock, self._errors("read"):
            return self._db.execute(statement, values).fetchall()

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} cannot be {verb}: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def version(self) -> int:
        """Version of the rows: a random number that every commit of pictures or files draws again."""
        return int(self._query("SELECT value FROM facts WHERE name = 'version'")[0][0])

    def count(self) -> int:
        """Number of different pictures that at least one file has."""
        return int(self._query("SELECT count(DISTINCT picture) FROM files")[0][0])

    def files(self, below: str | None = None) -> Iterator[File]:
        """All known files, or those below a folder, in order of path, including refused files."""
        where: str = ""
        values: tuple[bytes, ...] = ()
        if below is not None:
            # All paths that begin with the folder and a separator: a range of the key, whatever the name contains.
            prefix = os.fsencode(below.rstrip(os.sep) + os.sep)
            where, values = "WHERE path >= ? AND path < ?", (prefix, prefix[:-1] + bytes([prefix[-1] + 1]))
        rows = self._query(
            f"SELECT {self._file()} FROM files LEFT JOIN pictures ON pictures.id = files.picture {where} ORDER BY path",
            values,
        )
        for row in rows:
            yield _file(*row)

    def _file(self) -> str:
        """The columns of a `File`; a file of an earlier version that was never written to by this one lacks some."""
        return f"path, size, mtime_ns, content, reason, {'ctime_ns, inode' if self._upgraded() else '0, 0'}"

    def _upgraded(self) -> bool:
        with self._lock, self._errors("read"):
            self._is_upgraded = self._is_upgraded or is_upgraded(self._db)
            return self._is_upgraded

    def known(self, contents: Sequence[bytes]) -> set[bytes]:
        """The contents that already have a vector."""
        found: set[bytes] = set()
        for content in contents:
            found |= {row[0] for row in self._query("SELECT content FROM pictures WHERE content = ?", (content,))}
        return found

    def commit(
        self,
        pictures: Iterable[Picture] = (),
        files: Iterable[File] = (),
        gone: Iterable[str] = (),
        sweep: bool = True,
        facts: Mapping[bytes, Facts] | None = None,
    ) -> None:
        """Add pictures, add or update files, forget files; all or nothing. See `Store.commit`.

        Raises:
            StoreError: the store could not be written; nothing has changed.
        """
        with self._transaction():
            upgrade(self._db)
            before = self._db.total_changes
            for picture in pictures:
                self._add(picture)
            self._db.executemany(
                "INSERT INTO files (path, size, mtime_ns, picture, reason, ctime_ns, inode) "
                "VALUES (?, ?, ?, (SELECT id FROM pictures WHERE content = ?), ?, ?, ?) ON CONFLICT (path) DO UPDATE "
                "SET size = excluded.size, mtime_ns = excluded.mtime_ns, picture = excluded.picture, "
                "reason = excluded.reason, ctime_ns = excluded.ctime_ns, inode = excluded.inode",
                ((os.fsencode(file.path), *astuple(file)[1:]) for file in files),
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO picture_facts SELECT id, ?, ?, ?, ?, ?, ? FROM pictures WHERE content = ?",
                ((*astuple(known)[:6], content) for content, known in (facts or {}).items()),
            )
            self._db.executemany("DELETE FROM files WHERE path = ?", ((os.fsencode(path),) for path in gone))
            if sweep:
                self._db.execute(
                    "DELETE FROM pictures WHERE NOT EXISTS (SELECT 1 FROM files WHERE picture = pictures.id)"
                )
            if self._db.total_changes != before:
                # Not a counter: after a backup is restored, a counter would give different rows a version already used.
                self._db.execute("UPDATE facts SET value = random() WHERE name = 'version'")

    def _add(self, picture: Picture) -> None:
        vector = np.ascontiguousarray(picture.vector, "<f4").tobytes()
        added = self._db.execute(
            "INSERT OR IGNORE INTO pictures (content, vector) VALUES (?, ?)", (picture.content, vector)
        )
        if picture.grid is not None and added.rowcount:
            self._db.execute(GRIDS)  # only indexes with a re-ranker have this table
            grid = np.ascontiguousarray(picture.grid, "<f2").tobytes()
            self._db.execute("INSERT INTO grids VALUES (?, ?, ?)", (added.lastrowid, len(picture.grid), grid))

    def vectors(self) -> tuple[int, Ids, Iterator[Vectors]]:
        """The version, the ids of pictures that a file has, ascending, and their vectors in that order, in blocks.

        All come from one snapshot, even if other rows are committed while the blocks are read.
        """
        with self._errors("read"):
            reader = connect(self._address)
            reader.execute("BEGIN")
            version = int(reader.execute("SELECT value FROM facts WHERE name = 'version'").fetchone()[0])
            held = reader.execute("SELECT DISTINCT picture FROM files WHERE picture IS NOT NULL ORDER BY picture")
            ids = np.array([row[0] for row in held], dtype=np.int64)

        def blocks() -> Iterator[Vectors]:
            with self._errors("read"), closing(reader):
                rows = reader.execute("SELECT vector FROM pictures WHERE id IN (SELECT picture FROM files) ORDER BY id")
                while block := rows.fetchmany(BLOCK):
                    yield np.frombuffer(b"".join(row[0] for row in block), "<f4").reshape(len(block), self.embed_dim)

        return version, ids, blocks()

    def held(self, ids: Sequence[int]) -> dict[int, list[File]]:
        """Id → the files that have this picture, in alphabetical order; ids without files are left out."""
        found: dict[int, list[File]] = {}
        select = (
            f"SELECT picture, {self._file()} FROM files "
            "JOIN pictures ON pictures.id = files.picture WHERE picture IN ({}) ORDER BY path"
        )
        for number, *file in self._of_pictures(select, ids):
            found.setdefault(number, []).append(_file(*file))
        return found

    def facts(self, ids: Sequence[int]) -> dict[int, Facts]:
        """Id → the facts of this picture; ids without facts are left out."""
        if not self._upgraded():
            return {}
        rows = self._of_pictures("SELECT * FROM picture_facts WHERE picture IN ({})", ids)
        return {number: Facts(*facts) for number, *facts in rows}

    def all_facts(self) -> Iterator[tuple[int, Facts]]:
        """Id and facts of every picture that has facts."""
        rows = self._query("SELECT * FROM picture_facts") if self._upgraded() else []
        return ((number, Facts(*facts)) for number, *facts in rows)

    def names(self) -> Iterator[tuple[int, str, int]]:
        """Id of the picture, path and modification time of every file that is in the index."""
        rows = self._query("SELECT picture, path, mtime_ns FROM files WHERE picture IS NOT NULL")
        return ((number, os.fsdecode(path), mtime_ns) for number, path, mtime_ns in rows)

    def without_facts(self) -> list[File]:
        """The files of pictures without facts, which an earlier version has indexed."""
        lacking = "WHERE picture NOT IN (SELECT picture FROM picture_facts)" if self._upgraded() else ""
        rows = self._query(
            f"SELECT {self._file()} FROM files JOIN pictures ON pictures.id = files.picture {lacking} ORDER BY path"
        )
        return [_file(*row) for row in rows]

    def grids(self, ids: Sequence[int]) -> dict[int, Grid]:
        """Id → the grid of this picture; ids without a grid are left out."""
        if not self._query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'grids'"):
            return {}
        rows = self._of_pictures("SELECT picture, places, grid FROM grids WHERE picture IN ({})", ids)
        return {number: np.frombuffer(grid, "<f2").reshape(places, -1) for number, places, grid in rows}

    def _of_pictures(self, select: str, ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement with ``{}`` in place of a list of ids."""
        wanted = list(dict.fromkeys(ids))
        for start in range(0, len(wanted), 1_000):
            some = tuple(wanted[start : start + 1_000])
            yield from self._query(select.format(",".join("?" * len(some))), some)

    def find(self, content: bytes) -> tuple[int, list[File]] | None:
        """The id of the picture with this content, and the files that have it; None if there is none."""
        for (number,) in self._query("SELECT id FROM pictures WHERE content = ?", (content,)):
            if files := self.held([number]).get(number):
                return number, files
        return None

    def sources(self) -> list[str]:
        """Folders, patterns and lists that were indexed, in order of name."""
        return [os.fsdecode(row[0]) for row in self._query("SELECT path FROM sources ORDER BY path")]

    def remember(self, sources: Iterable[str], forget: Iterable[str] = ()) -> None:
        """Add to the sources, and remove some."""
        with self._transaction():
            rows = ((os.fsencode(source),) for source in sources)
            self._db.executemany("INSERT OR IGNORE INTO sources VALUES (?)", rows)
            self._db.executemany("DELETE FROM sources WHERE path = ?", ((os.fsencode(source),) for source in forget))


def _file(path: bytes, size: int, mtime_ns: int, content: bytes | None, *rest: Any) -> File:
    """A `File` of its columns."""
    return File(os.fsdecode(path), size, mtime_ns, content or b"", *rest)
