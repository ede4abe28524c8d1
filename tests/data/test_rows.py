"""Arrays on disk: complete or absent, written once, read row by row."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from imtext.data.rows import CachedRows, only_writer, write_rows
from imtext.errors import DataError


def test_an_interrupted_writer_leaves_nothing(tmp_path: Path) -> None:
    def blocks() -> Iterator[npt.NDArray[Any]]:
        yield np.zeros((2, 3))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rows(tmp_path / "a.npy", (4, 3), np.float16, blocks())
    assert not list(tmp_path.iterdir())


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).random((50, 4, 3)).astype(np.float16)
    write_rows(tmp_path / "a.npy", whole.shape, np.float16, (whole[row : row + 10] for row in range(0, 50, 10)))
    rows = CachedRows(tmp_path / "a.npy")
    assert len(rows) == 50
    assert all((rows[row] == whole[row]).all() for row in (0, 49, 7, -1))
    with pytest.raises(IndexError):
        rows[50]
    again = pickle.loads(pickle.dumps(rows))
    assert (again[3] == whole[3]).all()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux reports resident memory")
def test_reading_holds_one_row_in_memory(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.npy", (8_000, 8_192), np.float16, (np.zeros((100, 8_192)) for _ in range(80)))  # 131 MB
    rows = CachedRows(tmp_path / "a.npy")

    def resident() -> int:
        return sum(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith("RssFile"))

    before = resident()
    for row in np.random.default_rng(0).permutation(8_000)[:2_000].tolist():
        rows[row]
    assert resident() - before < 20_000  # kB; a memory map would take nearly all of the file


def test_only_writer_says_whether_the_file_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.npy"
    with only_writer(path) as missing:
        assert missing
        path.write_bytes(b"")
    with only_writer(path) as missing:
        assert not missing


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataError, match=r"Cannot write the cache.*paths\.cache_dir="),
        only_writer(tmp_path / "file" / "a.npy"),
    ):
        pass
