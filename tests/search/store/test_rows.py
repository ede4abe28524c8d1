"""The rows in SQLite: full disks, readers beside a writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imtext.errors import StoreError
from imtext.search.store import File, Picture
from imtext.search.store.rows import Rows
from imtext.search.store.schema import create_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.sqlite"


def test_full_disk(path: Path) -> None:
    create_rows(path, 1024)
    rows = Rows(path)
    rows._db.execute("PRAGMA max_page_count = 20")
    pictures = [Picture(b"%d" % number, np.ones(1024, dtype=np.float32)) for number in range(100)]
    for _ in range(2):
        with pytest.raises(StoreError, match=r"rows\.sqlite cannot be written: database or disk is full"):
            rows.commit(pictures, [File("/a", 1, 1, b"1")])
    assert (rows.count(), rows.version(), list(rows.files())) == (0, 0, [])


def test_reading_waits_for_no_writer(path: Path) -> None:
    create_rows(path, 2)
    writer, reader = Rows(path), Rows(path)
    writer._db.execute("BEGIN IMMEDIATE")  # in the middle of a commit
    assert reader.count() == 0
    version, ids, blocks = reader.vectors()
    assert (version, len(ids), list(blocks)) == (0, 0, [])
    writer._db.execute("ROLLBACK")
