"""Splitting images into training, validation and test."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
from PIL import Image

from imtext.data import Shapes
from imtext.data.captions import CaptionedImages
from imtext.data.splits import group_by_split, split_by_ratios, split_rows, usable_rows
from imtext.errors import ConfigError, DataError
from tests.data.shared import shapes

OFFICIAL = CaptionedImages(
    source="photos",
    captions=[["a"]] * 6,
    names=list("uvwxyz"),
    load_image=lambda _: Image.new("RGB", (8, 8)),
    fingerprint="",
    official={"train": [0, 1, 5], "val": [2, 3], "test": [4]},
)


@pytest.mark.parametrize("count", [8_000, 8_091, 6_996, 10])
def test_every_image_is_in_one_split(count: int) -> None:
    parts = split_by_ratios(count, [0.6, 0.2, 0.2], seed=42)
    assert sorted(chain.from_iterable(parts.values())) == list(range(count))
    assert parts == split_by_ratios(count, [0.6, 0.2, 0.2], seed=42) != split_by_ratios(count, [0.6, 0.2, 0.2], 43)


def test_flickr8k_sizes() -> None:
    parts = split_by_ratios(8_000, [0.6, 0.2, 0.2], seed=42)
    assert {split: len(rows) for split, rows in parts.items()} == {"train": 4_800, "val": 1_600, "test": 1_600}


def test_the_seed_of_the_run_does_not_move_images(tmp_path: Path) -> None:
    assert shapes(tmp_path, seed=1).rows == shapes(tmp_path, seed=2).rows


def test_bad_ratios() -> None:
    with pytest.raises(ConfigError, match="add up to 1"):
        Shapes(40, ratios=[0.6, 0.6, 0.2])
    with pytest.raises(DataError, match="too few"):
        split_by_ratios(3, [0.6, 0.2, 0.2], 0)


def test_only_usable_rows_are_split() -> None:
    assert split_rows(OFFICIAL, [0, 2, 3, 5], "official", [], 0) == {"train": [0, 5], "val": [2, 3], "test": []}
    random = split_rows(OFFICIAL, [0, 2, 3, 5], "ratios", [0.5, 0.25, 0.25], 0)
    assert sorted(chain.from_iterable(random.values())) == [0, 2, 3, 5]


def test_broken_pictures_are_named_or_left_out() -> None:
    captions: list[list[str]] = [["a"], [], ["a"], ["a"], ["a"], ["a"]]
    with pytest.raises(DataError, match=r"1 of 6 pictures in photos.*w \(truncated\)"):
        usable_rows(OFFICIAL, captions, {2: "truncated"}, skip_broken=False)
    assert usable_rows(OFFICIAL, captions, {2: "truncated"}, skip_broken=True) == [0, 3, 4, 5]


def test_group_by_split() -> None:
    assert group_by_split(["val", None, "train", "val"]) == {"train": [2], "val": [0, 3], "test": []}
