"""Where an index keeps its rows: the protocol, and SQLite as the embedded default.

A store is the truth: every commit is whole, survives a killed process, and gets a version of its own. Pictures are kept
by content, so the same picture under two names is one row with two files, and a renamed file keeps its row.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from imtext.errors import SearchError

SCHEMA = 1

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was when it was indexed.

    Attributes:
        path: absolute.
        size: in bytes.
        mtime_ns: time of its last change.
        content: hash of what was in it; empty when it was refused.
        reason: why it was refused; empty when it is in the index.
    """

    path: str
    size: int
    mtime_ns: int
    content: bytes = b""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """Content and its embedding."""

    content: bytes
    vector: Vectors


class VectorStore(Protocol):
    """What an index needs of a store; a distributed one would implement the same."""

    embed_dim: int

    def version(self) -> int:
        """Of the rows: a number drawn anew by every commit that changes pictures or files."""

    def count(self) -> int:
        """Different pictures that a file holds."""

    def files(self, below: str | None = None) -> Iterator[File]:
        """Every file known, or those below a folder, refused ones included."""

    def known(self, contents: Sequence[bytes]) -> set[bytes]:
        """Those contents that have a vector already."""

    def commit(
        self,
        pictures: Iterable[Picture] = (),
        files: Iterable[File] = (),
        gone: Iterable[str] = (),
        sweep: bool = True,
    ) -> None:
        """Add pictures, add or update files, forget files; all or nothing.

        `sweep` also forgets pictures that no file holds any more. Before the last commit of a run another file may
        still turn out to hold one.
        """

    def vectors(self) -> tuple[int, Ids, Iterator[Vectors]]:
        """The version, the ids of pictures that a file holds, ascending, and their vectors in that order, in blocks."""

    def held(self, ids: Sequence[int]) -> dict[int, list[File]]:
        """Id → the files that hold this picture, in alphabetical order; without those that are gone."""

    def find(self, content: bytes) -> tuple[int, list[File]] | None:
        """The id of the picture with this content and the files that hold it; None if there is none."""

    def sources(self) -> list[str]:
        """Folders, patterns and lists that were indexed, in order of name."""

    def remember(self, sources: Iterable[str], forget: Iterable[str] = ()) -> None:
        """Add to the sources, and take some away."""


class SQLiteStore:
    """One SQLite file in write-ahead mode: one writer, any number of readers that never wait for it.

    Args:
        path: of the file.
        embed_dim: when given, the file is made if there is none.

    Attributes:
        immutable: the file is taken as it is, and what others write to it later is not seen.
    """

    def __init__(self, path: Path, embed_dim: int | None = None) -> None:
        if embed_dim is None and not path.is_file():
            raise SearchError(f"There is no index in {path.parent}. Make one with: imtext index <folder of pictures>")
        self._address, self._lock = path.absolute().as_uri(), threading.RLock()
        self.immutable = False
        try:
            if os.access(path.parent, os.W_OK):
                self._db = self._connect()
                self._db.execute("PRAGMA journal_mode = WAL")
            else:
                self._db = self._connect_to_read()
            self._db.execute("PRAGMA synchronous = NORMAL")  # whole after a kill; after a power cut, older but whole
            self._db.execute("PRAGMA foreign_keys = ON")
            if embed_dim is not None:
                self._create(embed_dim)
            facts = dict(self._db.execute("SELECT name, value FROM facts"))
        except sqlite3.OperationalError as error:  # locked, a full disk: nothing that deleting would mend
            raise SearchError(f"{path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            raise SearchError(
                f"{path} cannot be read as an index ({error}). Delete the folder and index again"
            ) from error
        if facts["schema"] != SCHEMA:
            raise SearchError(
                f"{path} is an index of schema {facts['schema']}, and this imtext reads {SCHEMA}. "
                "Delete the folder and index again"
            )
        self.embed_dim = int(facts["embed_dim"])

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._address, timeout=30, isolation_level=None, check_same_thread=False, uri=True)

    def _connect_to_read(self) -> sqlite3.Connection:
        self._address += "?mode=ro"
        try:
            connection = self._connect()
            connection.execute("PRAGMA schema_version")  # connecting alone reads nothing
        except sqlite3.OperationalError:
            # Write-ahead mode writes beside the file even to read it, unless a writer has done so already.
            self._address, self.immutable = f"{self._address}&immutable=1", True
            connection = self._connect()
        return connection

    def _create(self, embed_dim: int) -> None:
        with self._transaction():
            for statement in _TABLES:
                self._db.execute(statement)
            facts = {"schema": SCHEMA, "embed_dim": embed_dim, "version": 0}
            self._db.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", facts.items())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk ends it by itself
                    self._db.execute("ROLLBACK")
                raise

    def _query(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def version(self) -> int:
        """Of the rows: a number drawn anew by every commit that changes pictures or files."""
        return int(self._query("SELECT value FROM facts WHERE name = 'version'")[0][0])

    def count(self) -> int:
        """Different pictures that a file holds."""
        return int(self._query("SELECT count(DISTINCT picture) FROM files")[0][0])

    def files(self, below: str | None = None) -> Iterator[File]:
        """Every file known, or those below a folder, refused ones included."""
        where: str = ""
        values: tuple[bytes, ...] = ()
        if below is not None:
            # Everything that begins with the folder and a separator: a range of the index, whatever is in the name.
            prefix = os.fsencode(below.rstrip(os.sep) + os.sep)
            where, values = "WHERE path >= ? AND path < ?", (prefix, prefix[:-1] + bytes([prefix[-1] + 1]))
        rows = self._query(
            "SELECT path, size, mtime_ns, content, reason FROM files "
            f"LEFT JOIN pictures ON pictures.id = files.picture {where} ORDER BY path",
            values,
        )
        for path, size, mtime_ns, content, reason in rows:
            yield File(os.fsdecode(path), size, mtime_ns, content or b"", reason)

    def known(self, contents: Sequence[bytes]) -> set[bytes]:
        """Those contents that have a vector already."""
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
    ) -> None:
        """Add pictures, add or update files, forget files; all or nothing. `sweep`: forget pictures without files."""
        with self._transaction():
            before = self._db.total_changes
            self._db.executemany(
                "INSERT OR IGNORE INTO pictures (content, vector) VALUES (?, ?)",
                ((picture.content, np.ascontiguousarray(picture.vector, "<f4").tobytes()) for picture in pictures),
            )
            self._db.executemany(
                "INSERT INTO files (path, size, mtime_ns, picture, reason) "
                "VALUES (?, ?, ?, (SELECT id FROM pictures WHERE content = ?), ?) ON CONFLICT (path) DO UPDATE SET "
                "size = excluded.size, mtime_ns = excluded.mtime_ns, picture = excluded.picture, "
                "reason = excluded.reason",
                ((os.fsencode(file.path), file.size, file.mtime_ns, file.content, file.reason) for file in files),
            )
            self._db.executemany("DELETE FROM files WHERE path = ?", ((os.fsencode(path),) for path in gone))
            if sweep:
                self._db.execute(
                    "DELETE FROM pictures WHERE NOT EXISTS (SELECT 1 FROM files WHERE picture = pictures.id)"
                )
            if self._db.total_changes != before:
                # No counter: that of a restored backup or a rebuilt index would come to the same number once more.
                self._db.execute("UPDATE facts SET value = random() WHERE name = 'version'")

    def vectors(self) -> tuple[int, Ids, Iterator[Vectors]]:
        """The version, the ids of pictures that a file holds, ascending, and their vectors in that order, in blocks.

        All of one moment: the blocks come from the same snapshot, whatever is committed meanwhile.
        """
        reader = self._connect()
        reader.execute("BEGIN")
        version = int(reader.execute("SELECT value FROM facts WHERE name = 'version'").fetchone()[0])
        held = reader.execute("SELECT DISTINCT picture FROM files WHERE picture IS NOT NULL ORDER BY picture")
        ids = np.array([row[0] for row in held], dtype=np.int64)

        def blocks() -> Iterator[Vectors]:
            try:
                rows = reader.execute("SELECT vector FROM pictures WHERE id IN (SELECT picture FROM files) ORDER BY id")
                while block := rows.fetchmany(4096):
                    yield np.frombuffer(b"".join(row[0] for row in block), "<f4").reshape(len(block), self.embed_dim)
            finally:
                reader.close()

        return version, ids, blocks()

    def held(self, ids: Sequence[int]) -> dict[int, list[File]]:
        """Id → the files that hold this picture, in alphabetical order; without those that are gone."""
        found: dict[int, list[File]] = {}
        wanted = list(dict.fromkeys(ids))
        for start in range(0, len(wanted), 1_000):
            some = wanted[start : start + 1_000]
            rows = self._query(
                "SELECT picture, path, size, mtime_ns, content, reason FROM files "
                f"JOIN pictures ON pictures.id = files.picture WHERE picture IN ({','.join('?' * len(some))}) "
                "ORDER BY path",
                tuple(some),
            )
            for number, path, *rest in rows:
                found.setdefault(number, []).append(File(os.fsdecode(path), *rest))
        return found

    def find(self, content: bytes) -> tuple[int, list[File]] | None:
        """The id of the picture with this content and the files that hold it; None if there is none."""
        for (number,) in self._query("SELECT id FROM pictures WHERE content = ?", (content,)):
            if files := self.held([number]).get(number):
                return number, files
        return None

    def sources(self) -> list[str]:
        """Folders, patterns and lists that were indexed, in order of name."""
        return [os.fsdecode(row[0]) for row in self._query("SELECT path FROM sources ORDER BY path")]

    def remember(self, sources: Iterable[str], forget: Iterable[str] = ()) -> None:
        """Add to the sources, and take some away."""
        with self._transaction():
            rows = ((os.fsencode(source),) for source in sources)
            self._db.executemany("INSERT OR IGNORE INTO sources VALUES (?)", rows)
            self._db.executemany("DELETE FROM sources WHERE path = ?", ((os.fsencode(source),) for source in forget))


_TABLES = (
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    # AUTOINCREMENT: an id is never used again, so that it can be given to clients.
    "CREATE TABLE IF NOT EXISTS pictures (id INTEGER PRIMARY KEY AUTOINCREMENT, content BLOB NOT NULL UNIQUE, "
    "vector BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, "
    "picture INTEGER REFERENCES pictures (id), reason TEXT NOT NULL, CHECK (picture IS NOT NULL OR reason <> '')) "
    "WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS sources (path BLOB PRIMARY KEY) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS files_by_picture ON files (picture)",
)
