"""What is recorded of a file."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from imtext.search.store.records import UNREAD, File, unread


def test_unchanged_files(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"abc")
    state = path.stat()
    found = File.found(str(path), state)
    assert (found.size, found.content, found.reason) == (3, b"", "")
    assert found.is_as(state)
    assert found.unchanged_since(replace(found, content=b"c"))
    earlier = replace(found, ctime_ns=0, inode=0)
    assert found.unchanged_since(earlier), "all that an earlier version recorded"
    assert not earlier.is_as(state), "this version records more"
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    later = path.stat()
    assert not found.is_as(later), "the time of the change differs"
    assert not File.found(str(path), later).unchanged_since(found)


def test_numbers_that_a_database_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.touch()
    fields = list(path.stat())
    fields[stat.ST_INO] = 2**64 - 1
    state = os.stat_result([*fields, 0, 0, 0, 0, -(2**70), 2**70])
    found = File.found(str(path), state)
    assert (found.mtime_ns, found.ctime_ns, found.inode) == (-(2**63 - 1), 2**63 - 1, 2**63 - 1)
    assert found.is_as(state)


def test_refused_files(tmp_path: Path) -> None:
    assert File("/a", 1, 2, b"content").refuse(" no\n picture ") == File("/a", 1, 2, b"", "no picture")
    assert unread("/a", "").size == UNREAD
    assert len(File("/a", 1, 2).refuse("x" * 1_000).reason) == 300
