"""A file of this machine is read as ever; `test_remote` and `test_shards` read the others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from imtext.search.files import length_of, open_file, picture_of, read_bytes, state_of


def test_a_file_of_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"content")
    assert read_bytes(str(path)) == open_file(str(path)).read() == b"content"
    assert picture_of(str(path)) == path
    assert state_of(str(path)) == path.stat()
    assert length_of(str(path), path.stat()) == 7
    for read in (read_bytes, open_file, state_of):
        with pytest.raises(FileNotFoundError):
            read(str(tmp_path / "b.jpg"))


def test_a_missing_package_is_a_reason_why_a_file_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    for read in (read_bytes, picture_of, open_file, state_of):
        with pytest.raises(OSError, match=r'pip install "imtext\[remote\]"'):
            read("s3://bucket/a.jpg")
