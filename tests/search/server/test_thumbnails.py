"""Thumbnails are made once and dropped when memory is short."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from imtext.search.server.thumbnails import Thumbnails
from tests.conftest import picture


def test_a_thumbnail_is_small_and_kept(tmp_path: Path) -> None:
    thumbnails = Thumbnails()
    content = thumbnails.make("a", picture(tmp_path / "a.png", 1), 64)
    assert max(Image.open(io.BytesIO(content)).size) == 64
    assert thumbnails.get("a", 64) == content
    assert thumbnails.get("a", 320) is None


def test_memory_is_bounded(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 1)
    size = len(Thumbnails().make("a", path, 64))
    thumbnails = Thumbnails(max_bytes=int(2.5 * size))
    for id in ("a", "b", "c"):
        thumbnails.make(id, path, 64)
    assert [thumbnails.get(id, 64) is not None for id in ("a", "b", "c")] == [False, True, True]
    assert len(Thumbnails(max_bytes=1).make("a", path, 64)) == size  # larger than the whole cache


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(ValueError, match="not a picture"):
        Thumbnails().make("a", tmp_path / "a.png", 64)
