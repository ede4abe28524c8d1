"""Types of files on disk."""

from __future__ import annotations

import os
from pathlib import Path

from imtext.search.index.kinds import CHUNK, kind_of, kinds_of


def test_many_files_in_order(tmp_path: Path) -> None:
    heads = {"JPEG": b"\xff\xd8\xff", "MOV": b"\0\0\0\x14ftypqt  ", "": b""}
    for kind, head in heads.items():
        (tmp_path / f"kind {kind}").write_bytes(head)
    kinds = [*heads] * CHUNK
    assert kinds_of([str(tmp_path / f"kind {kind}") for kind in kinds]) == kinds
    assert kinds_of([]) == []


def test_a_file_that_cannot_be_read_has_no_type(tmp_path: Path) -> None:
    assert kind_of(str(tmp_path / "missing")) == ""
    assert kind_of(str(tmp_path)) == ""
    assert kind_of(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")) == ""
