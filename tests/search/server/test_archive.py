"""ZIP archives that are made while they are sent."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from imtext.search.files import length_of, members
from imtext.search.server.archive import CHUNK, Member, archive, archive_size, safe_names


def member(path: Path, content: bytes, mtime: float = 1_700_000_000) -> Member:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Member(str(path), len(content), mtime)


def test_what_is_packed_is_unpacked(tmp_path: Path) -> None:
    contents = [b"a" * 10, b"", bytes(range(256)) * (CHUNK // 128), b"\xff" * CHUNK]
    members = [member(tmp_path / f"{number}" / "ä b.jpg", one) for number, one in enumerate(contents)]
    parts = list(archive(members))
    assert max(map(len, parts)) < 2 * CHUNK, "no file is held whole"
    packed = b"".join(parts)
    assert len(packed) == archive_size(members)
    with zipfile.ZipFile(io.BytesIO(packed)) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == ["ä b.jpg", "ä b (2).jpg", "ä b (3).jpg", "ä b (4).jpg"]
        assert [opened.read(name) for name in opened.namelist()] == contents
        assert opened.infolist()[0].date_time[:2] == (2023, 11)
    assert len(b"".join(archive([]))) == archive_size([])


@pytest.mark.parametrize("content", [b"short", b"much longer than before"])
def test_a_file_that_changed_is_not_passed_off_as_the_picture(tmp_path: Path, content: bytes) -> None:
    one = member(tmp_path / "a.jpg", b"ten bytes!")
    Path(one.path).write_bytes(content)
    with pytest.raises(OSError, match="changed while it was sent"):
        list(archive([one]))


@pytest.mark.parametrize("mtime", [-1e9, 0, 1e11])
def test_dates_that_a_zip_cannot_hold(tmp_path: Path, mtime: float) -> None:
    list(archive([member(tmp_path / "a.jpg", b"1", mtime)]))


def test_names_are_safe_and_different() -> None:
    paths = ["/a/..", "/x/a:b\\c?.jpg", "/x/A.jpg", "/y/a.JPG", "/z/line\nbreak.png", "/z/\udcff.png", "/z/a (2).jpg"]
    names = safe_names([Member(path, 0, 0) for path in paths])
    assert names == ["picture", "a_b_c_.jpg", "A.jpg", "a (2).JPG", "line_break.png", "_.png", "a (2) (2).jpg"]


def test_pictures_of_a_table(tmp_path: Path) -> None:
    """The state of a row has the mean of all rows for its size."""
    table = str(tmp_path / "photos.parquet")
    parquet.write_table(pa.table({"image": [b"short", b"much longer than the other"]}), table)
    found = [Member(path, length_of(path, state), 0) for path, state in members(table).items()]
    packed = b"".join(archive(found))
    assert len(packed) == archive_size(found)
    with zipfile.ZipFile(io.BytesIO(packed)) as opened:
        assert [opened.read(name) for name in opened.namelist()] == [b"short", b"much longer than the other"]
