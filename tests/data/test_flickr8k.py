"""Flickr8K in its various layouts."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from imtext.data import Flickr8k
from imtext.errors import DataError
from tests.data.shared import SMALL, ready


def write_parquet(folder: Path, pictures: Path, parts: dict[str, range]) -> None:
    """The layout of jxie/flickr8k."""
    for split, rows in parts.items():
        part = datasets.Dataset.from_dict(
            {
                "image": [str(pictures / "Images" / f"{row}.jpg") for row in rows],
                **{f"caption_{i}": [f"{split} picture number {row} {i}" for row in rows] for i in range(3)},
            }
        ).cast_column("image", datasets.Image())
        part = part.map(lambda row: row)  # pictures as bytes, not as paths
        part.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))


def test_zip_layout(pictures: Path, tmp_path: Path) -> None:
    data = ready(Flickr8k(str(pictures), cache_dir=str(tmp_path), **SMALL))
    assert {split: len(rows) for split, rows in data.rows.items()} == {"train": 7, "val": 3, "test": 2}
    assert [len(texts) for texts in data.captions] == [2] * 12


def test_official_lists(folder: Path, tmp_path: Path) -> None:
    for name, rows in {"train": range(8), "dev": range(8, 10), "test": range(10, 12)}.items():
        lines = "".join(f"{row}.jpg\n" for row in rows)
        (folder / f"Flickr_8k.{name}Images.txt").write_text(lines)
    data = ready(Flickr8k(str(folder), split="official", cache_dir=str(tmp_path), **SMALL))
    assert data.rows == {"train": list(range(8)), "val": [8, 9], "test": [10, 11]}


def test_parquet(pictures: Path, tmp_path: Path) -> None:
    write_parquet(tmp_path, pictures, {"train": range(8), "validation": range(8, 12)})
    data = ready(Flickr8k(str(tmp_path), split="official", cache_dir=str(tmp_path / "cache"), **SMALL))
    assert data.rows == {"train": list(range(8)), "val": [8, 9, 10, 11], "test": []}
    assert data.captions[9][2] == "validation picture number 9 2"
    with pytest.raises(DataError, match="0 test images"):
        data.test_dataloader()
    pooled = ready(Flickr8k(str(tmp_path), cache_dir=str(tmp_path / "cache"), **SMALL))
    assert sum(map(len, pooled.rows.values())) == 12


def test_official_needs_lists(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.split=ratios"):
        ready(Flickr8k(str(pictures), split="official", cache_dir=str(tmp_path), **SMALL))


@pytest.mark.parametrize("layout", ["nowhere", "empty"])
def test_wrong_folder(tmp_path: Path, layout: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"data=shapes"):
        ready(Flickr8k(str(tmp_path / layout), cache_dir=str(tmp_path), **SMALL))
