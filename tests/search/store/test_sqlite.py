"""Behaviour of the SQLite store only: its files, read-only folders, damaged matrices."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from imtext.errors import SearchError, StoreError
from imtext.search.store.sqlite import SQLiteStore, matrix_path
from tests.search.store.conftest import DIM, vector

Add = Callable[..., None]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'index.sqlite'}"


@pytest.fixture
def sqlite(url: str, add: Add) -> SQLiteStore:
    store = SQLiteStore.create(url, DIM)
    add(store, 12)
    return store


def test_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = SQLiteStore.create("sqlite:///deep/er/my.sqlite", DIM)
    assert made.location == f"sqlite:///{tmp_path / 'deep/er/my.sqlite'}", "it means the same in another folder"
    assert (tmp_path / "deep/er/my.sqlite").is_file()
    for url in ("sqlite://my.sqlite", "sqlite:///"):
        with pytest.raises(SearchError, match="names no file: write sqlite:///relative/path"):
            SQLiteStore.open(url)


def test_two_stores_in_one_folder_have_two_matrices() -> None:
    assert matrix_path(Path("/i/index.sqlite")) == Path("/i/vectors.cache")
    assert matrix_path(Path("/i/a.sqlite")) != matrix_path(Path("/i/b.sqlite"))


def test_the_matrix_is_written_once_for_all_readers(sqlite: SQLiteStore, url: str, tmp_path: Path) -> None:
    sqlite.refresh()
    written = (tmp_path / "vectors.cache").stat().st_mtime_ns
    assert SQLiteStore.open(url).size == 12
    assert (tmp_path / "vectors.cache").stat().st_mtime_ns == written


@pytest.mark.parametrize("part", [slice(4096, 4100), slice(-4, None)])
def test_check_notices_a_damaged_matrix(sqlite: SQLiteStore, url: str, tmp_path: Path, part: slice) -> None:
    sqlite.refresh()
    content = bytearray((tmp_path / "vectors.cache").read_bytes())
    content[part] = b"\x7f\x7f\x7f\x3f"
    (tmp_path / "vectors.cache").write_bytes(content)
    with pytest.raises(SearchError, match=r"vectors\.cache does not agree with the rows\. Delete it"):
        SQLiteStore.open(url).check()
    (tmp_path / "vectors.cache").unlink()
    assert SQLiteStore.open(url).check() == 12


def test_check_notices_tables_that_contradict_each_other(sqlite: SQLiteStore, url: str, tmp_path: Path) -> None:
    """A flipped bit in the number of a file's picture would show another picture under its name."""
    sqlite.close()
    with closing(sqlite3.connect(tmp_path / "index.sqlite")) as rows:
        (root,) = rows.execute("SELECT rootpage FROM sqlite_master WHERE name = 'files_by_picture'").fetchone()
        rows.execute("PRAGMA writable_schema = ON")
        rows.execute("DELETE FROM sqlite_master WHERE name = 'files_by_picture'")
        rows.commit()
    with closing(sqlite3.connect(tmp_path / "index.sqlite")) as rows:  # which does not know the index any more
        rows.execute("UPDATE files SET picture = 3 WHERE picture = 2")
        rows.execute("PRAGMA writable_schema = ON")
        index = "CREATE INDEX files_by_picture ON files (picture)"
        rows.execute("INSERT INTO sqlite_master VALUES ('index', 'files_by_picture', 'files', ?, ?)", (root, index))
        rows.commit()
    with pytest.raises(SearchError, match=r"index\.sqlite is damaged \(.*files_by_picture"):
        SQLiteStore.open(url).check()


def test_leftovers_of_killed_processes(sqlite: SQLiteStore, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    for process in (ended.pid, os.getpid()):
        (tmp_path / f"vectors.cache.{process}.1").touch()
    sqlite.tidy()
    assert [path.name for path in tmp_path.glob("vectors.cache.*")] == [f"vectors.cache.{os.getpid()}.1"]


def test_read_from_a_folder_that_cannot_be_written(
    sqlite: SQLiteStore, url: str, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    reader = SQLiteStore.open(url)
    assert (reader.size, reader.frozen) == (12, False), "with what is committed, but not in the file itself yet"
    add(sqlite, 1, first=50)
    assert reader.refresh()
    assert reader.size == 13


def test_read_from_a_mount_that_cannot_be_written(
    sqlite: SQLiteStore, url: str, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files that SQLite needs beside the rows cannot be made."""
    sqlite.close()
    connect = sqlite3.connect

    def mounted(address: str, **options: object) -> sqlite3.Connection:
        if address.endswith("?mode=ro"):
            raise sqlite3.OperationalError("unable to open database file")
        return connect(address, **options)  # type: ignore[call-overload, no-any-return]

    with monkeypatch.context() as patched:
        patched.setattr("os.access", lambda path, mode: False)
        patched.setattr("sqlite3.connect", mounted)
        reader = SQLiteStore.open(url)
        assert (reader.size, reader.frozen, reader.replaced()) == (12, True, False)
    writer = SQLiteStore.open(url)
    add(writer, 1, first=50)
    writer.close()
    assert reader.replaced(), "it cannot see the new commit"
    assert reader.nearest(vector(1)[None], 20).size == 12


def test_a_store_whose_file_was_deleted_is_not_replaced(sqlite: SQLiteStore, url: str, tmp_path: Path) -> None:
    """A reader keeps its content: it cannot distinguish a moment of a rebuild from the end."""
    sqlite.refresh()
    (tmp_path / "index.sqlite").unlink()
    assert not sqlite.replaced()
    with pytest.raises(StoreError, match="cannot be read"):
        sqlite.vectors()
    assert not SQLiteStore.exists(url)
    assert sqlite.nearest(vector(1)[None], 20).size == 12
