"""Data sets of the `datasets` library."""

from __future__ import annotations

import logging
from pathlib import Path

import datasets
import pytest

from imtext.data.reading.arrow import from_datasets


def part(pictures: Path, rows: list[int | None], text: str = "text") -> datasets.Dataset:
    return datasets.Dataset.from_dict(
        {
            "image": [None if row is None else str(pictures / "Images" / f"{row}.jpg") for row in rows],
            text: [f"caption {number}" for number in range(len(rows))],
        }
    ).cast_column("image", datasets.Image())


def test_a_picture_belongs_to_the_split_where_it_is_first(pictures: Path) -> None:
    parts = {"train": part(pictures, [0, 1, 0]), "test": part(pictures, [1, 2])}
    source = from_datasets(parts, "image", None, "hub:a/b", 32)
    assert source.names == ["train/0", "train/1", "test/1"]
    assert source.captions == [["caption 0", "caption 2"], ["caption 1", "caption 0"], ["caption 1"]]
    assert source.official == {"train": [0, 1], "val": [], "test": [2]}
    assert [source.load_image(row).size for row in range(3)] == [(90, 60), (91, 60), (92, 60)]


def test_other_splits_are_reported(pictures: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts = {"train": part(pictures, [0]), "extra": part(pictures, [1])}
    with caplog.at_level(logging.WARNING):
        source = from_datasets(parts, "image", None, "hub:a/b", 32)
    assert "'extra'" in caplog.text
    assert source.official == {"train": [0], "val": [], "test": []}


def test_rows_without_a_picture_are_broken(pictures: Path) -> None:
    source = from_datasets({"train": part(pictures, [0, None, None])}, "image", None, "hub:a/b", 32)
    assert len(source) == 3
    assert source.official is None
    with pytest.raises(ValueError, match="no picture"):
        source.load_image(1)
