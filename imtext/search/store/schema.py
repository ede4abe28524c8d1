"""The tables of an index in one SQLite file, and their upgrade from earlier versions."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from imtext.errors import SearchError
from imtext.search.store.full_text import TABLE

SCHEMA = 1
# Additions to the first version: a table, and a column of it.
Addition = tuple[str, str]
FACTS, HASHES, WORDS = ("picture_facts", "picture"), ("picture_facts", "hash"), ("words", "text")


def create_rows(path: Path, embed_dim: int) -> None:
    """Create the file, or complete one whose creation was interrupted."""
    facts = {"schema": SCHEMA, "embed_dim": embed_dim, "version": 0}
    try:
        with closing(connect(path.absolute().as_uri())) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            for statement in _TABLES:
                connection.execute(statement)
            upgrade(connection)
            connection.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", facts.items())
            connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise SearchError(f"{path} cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        raise SearchError(f"{path} cannot be read as an index ({error}). Delete the folder and index again") from error


def connect(address: str) -> sqlite3.Connection:
    """Open the file at a URI, for several threads and without implicit transactions."""
    return sqlite3.connect(address, timeout=30, isolation_level=None, check_same_thread=False, uri=True)


def upgrade(connection: sqlite3.Connection) -> None:
    """Inside of a transaction, add what earlier versions did not have. Released ones can still read and write it."""
    if not has(connection, FACTS):
        for column in ("ctime_ns", "inode"):
            connection.execute(f"ALTER TABLE files ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0")
        connection.execute(_PICTURE_FACTS)
    if not has(connection, HASHES):
        connection.execute("ALTER TABLE picture_facts ADD COLUMN hash BLOB")
    if not has(connection, WORDS):
        for statement in TABLE:
            connection.execute(statement)


def has(connection: sqlite3.Connection, addition: Addition) -> bool:
    """Does the file have an addition to the first version?"""
    return connection.execute("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", addition).fetchone() is not None


_TABLES = (
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    # AUTOINCREMENT: an id is never used twice, so clients may keep it.
    "CREATE TABLE IF NOT EXISTS pictures (id INTEGER PRIMARY KEY AUTOINCREMENT, content BLOB NOT NULL UNIQUE, "
    "vector BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, "
    "picture INTEGER REFERENCES pictures (id), reason TEXT NOT NULL, CHECK (picture IS NOT NULL OR reason <> '')) "
    "WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS sources (path BLOB PRIMARY KEY) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS files_by_picture ON files (picture)",
)
_PICTURE_FACTS = (
    "CREATE TABLE picture_facts (picture INTEGER PRIMARY KEY REFERENCES pictures (id) ON DELETE CASCADE, "
    "width INTEGER NOT NULL, height INTEGER NOT NULL, taken TEXT NOT NULL, camera TEXT NOT NULL, latitude REAL, "
    "longitude REAL)"
)
GRIDS = (
    "CREATE TABLE IF NOT EXISTS grids (picture INTEGER PRIMARY KEY REFERENCES pictures (id) ON DELETE CASCADE, "
    "places INTEGER NOT NULL, grid BLOB NOT NULL)"
)
