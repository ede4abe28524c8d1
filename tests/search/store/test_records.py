"""What is recorded of a file."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from imtext.search.store.records import UNREAD, File, unread


def with_times(state: os.stat_result, mtime_ns: int, ctime_ns: int, inode: int = 1) -> os.stat_result:
    """A state of a file as it could be."""
    fields = list(state)
    fields[stat.ST_INO] = inode
    return os.stat_result(fields, {"st_mtime_ns": mtime_ns, "st_ctime_ns": ctime_ns})


def test_unchanged_files(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"abc")
    state = with_times(path.stat(), 5, 7)
    found = File.found(str(path), state)
    assert (found.size, found.content, found.reason) == (3, b"", "")
    assert found.is_as(state)
    assert found.unchanged_since(replace(found, content=b"c"))
    earlier = replace(found, ctime_ns=0, inode=0)
    assert found.unchanged_since(earlier), "all that an earlier version recorded"
    assert not earlier.is_as(state), "this version records more"
    later = with_times(state, 5, 8)
    assert not found.is_as(later), "the time of the change differs"
    assert not File.found(str(path), later).unchanged_since(found)


def test_numbers_that_a_database_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.touch()
    state = with_times(path.stat(), -(2**70), 2**70, inode=2**64 - 1)
    found = File.found(str(path), state)
    assert (found.mtime_ns, found.ctime_ns, found.inode) == (-(2**63 - 1), 2**63 - 1, 2**63 - 1)
    assert found.is_as(state)


def test_refused_files(tmp_path: Path) -> None:
    assert File("/a", 1, 2, b"content").refuse(" no\n picture ") == File("/a", 1, 2, b"", "no picture")
    assert unread("/a", "").size == UNREAD
    assert len(File("/a", 1, 2).refuse("x" * 1_000).reason) == 300
