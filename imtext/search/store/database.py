"""The SQLite file of an index: opening, transactions, and errors that say which file it is."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imtext.errors import SearchError, StoreError
from imtext.search.store.schema import SCHEMA, Addition, connect, has

DAMAGE = (sqlite3.DatabaseError, UnicodeError)  # names of tables that are no text any more


class Database:
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
        self.path, self.frozen = path, False
        self._additions: set[Addition] = set()  # those that are there for sure
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
        except DAMAGE as error:
            raise SearchError(
                f"{path} cannot be read as an index ({error}). Delete the folder and index again"
            ) from error
        if facts.get("schema") != SCHEMA:
            raise SearchError(
                f"{path} is an index of schema {facts.get('schema')}, but this imtext reads {SCHEMA}. "
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
        except (sqlite3.Error, UnicodeError) as error:
            raise StoreError(f"{self.path} cannot be {verb}: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _has(self, addition: Addition) -> bool:
        """Does the file have an addition to the first version?"""
        with self._lock, self._errors("read"):
            if addition not in self._additions and has(self._db, addition):
                self._additions.add(addition)
            return addition in self._additions
