"""The file of an index: damaged, of another kind, interrupted, closed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from imtext.errors import SearchError, StoreError
from imtext.search.store.rows import Rows
from imtext.search.store.schema import create_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.sqlite"


def test_not_an_index(path: Path) -> None:
    path.write_bytes(b"no database" * 100)
    with pytest.raises(SearchError, match="cannot be read as an index"):
        Rows(path)
    with pytest.raises(SearchError, match="cannot be read as an index"):
        create_rows(path, 2)


def test_creation_that_was_interrupted(path: Path) -> None:
    path.touch()
    with pytest.raises(SearchError, match="cannot be opened"):
        Rows(path)
    create_rows(path, 2)
    assert Rows(path).embed_dim == 2
    create_rows(path, 3)
    assert Rows(path).embed_dim == 2, "what is there is left as it is"


def test_another_schema(path: Path) -> None:
    create_rows(path, 2)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE facts SET value = 99 WHERE name = 'schema'")
    with pytest.raises(SearchError, match="is an index of schema 99, but this imtext reads 1"):
        Rows(path)


def test_closed(path: Path) -> None:
    create_rows(path, 2)
    rows = Rows(path)
    rows.close()
    with pytest.raises(StoreError, match="cannot be read"):
        rows.version()
