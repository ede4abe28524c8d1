"""Pictures in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.data.reading.files import file_mark, from_files
from imtext.errors import DataError


def test_rows_of_a_picture_are_one_image(pictures: Path) -> None:
    rows = [("0.jpg", ["a"], None), ("1.jpg", ["b"], None), ("0.jpg", ["c", "d"], None)]
    source = from_files(rows, pictures / "Images", "own.csv", 32)
    assert (source.names, source.captions, source.official) == (["0.jpg", "1.jpg"], [["a", "c", "d"], ["b"]], None)
    assert source.load_image(1).mode == "RGB"


def test_two_names_of_a_picture_are_one_image(pictures: Path) -> None:
    """Otherwise it could be in two splits."""
    source = from_files([("0.jpg", ["a"], None), ("0", ["b"], None)], pictures / "Images", "own.csv", 32)
    assert (source.names, source.captions) == (["0.jpg"], [["a", "b"]])


def test_splits_become_official(pictures: Path) -> None:
    source = from_files([("0.jpg", ["a"], "val"), ("1.jpg", ["b"], None)], pictures / "Images", "own.csv", 32)
    assert source.official == {"train": [], "val": [0], "test": []}
    with pytest.raises(DataError, match="two splits, val and test"):
        from_files([("0.jpg", ["a"], "val"), ("0.jpg", ["b"], "test")], pictures / "Images", "own.csv", 32)


def test_missing_pictures_are_named(pictures: Path) -> None:
    with pytest.raises(DataError, match=r"1 of 2 pictures named in own\.csv do not exist.*x\.jpg.*data\.image_root="):
        from_files([("0.jpg", ["a"], None), ("x.jpg", ["b"], None)], pictures / "Images", "own.csv", 32)


def test_fingerprint_follows_pictures_and_captions(folder: Path) -> None:
    def key(caption: str) -> str:
        return from_files([("0.jpg", [caption], None)], folder / "Images", "own.csv", 32).fingerprint

    first = key("a")
    assert key("a") == first != key("b")
    mark = file_mark(folder / "Images" / "0.jpg")
    (folder / "Images" / "0.jpg").write_bytes((folder / "Images" / "1.jpg").read_bytes())
    assert file_mark(folder / "Images" / "0.jpg") != mark
    assert key("a") != first
