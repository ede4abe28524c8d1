"""Split images into training, validation and test."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from imtext.data.captions import SPLITS, CaptionedImages, Split
from imtext.errors import DataError

log = logging.getLogger(__name__)
SplitRule = Literal["ratios", "official"]


def usable_rows(
    source: CaptionedImages, captions: Sequence[Sequence[str]], broken: Mapping[int, str], skip_broken: bool
) -> list[int]:
    """Rows with a readable picture and a caption, in ascending order.

    Args:
        source: the images, for messages.
        captions: non-empty captions of each row.
        broken: row number → why the picture cannot be read.
        skip_broken: leave out broken pictures instead of refusing them.

    Raises:
        DataError: pictures are broken; the message names the first ones.
    """
    if broken and not skip_broken:
        shown = "; ".join(f"{source.names[row]} ({reason})" for row, reason in list(broken.items())[:3])
        raise DataError(
            f"{len(broken)} of {len(source)} pictures in {source.source} cannot be read: {shown}. "
            "Repair or remove them, or pass data.skip_broken=true to train without them."
        )
    usable = [row for row, texts in enumerate(captions) if texts and row not in broken]
    if skipped := len(source) - len(usable):
        log.warning("Left out %d of %d images that are broken or have no caption", skipped, len(source))
    return usable


def split_rows(
    source: CaptionedImages, usable: Sequence[int], rule: SplitRule, ratios: Sequence[float], seed: int
) -> dict[Split, list[int]]:
    """Assign the usable rows of a source to the three splits.

    Args:
        source: the images; `official` holds the source's own split.
        usable: row numbers in ascending order; other rows are left out.
        rule: ``ratios`` splits at random, ``official`` follows the source.
        ratios: shares of train, val and test.
        seed: seed of the random split.

    Raises:
        DataError: a split would be empty, or the source has no split of its own.
    """
    if rule == "ratios":
        parts = split_by_ratios(len(usable), ratios, seed)
        return {split: [usable[position] for position in positions] for split, positions in parts.items()}
    if source.official is None:
        raise DataError(
            f"{source.source} has no official split: use data.split=ratios (or data.split_column=… with data=table)."
        )
    usable_set = set(usable)
    return {split: [row for row in source.official[split] if row in usable_set] for split in SPLITS}


def split_by_ratios(count: int, ratios: Sequence[float], seed: int) -> dict[Split, list[int]]:
    """Split `count` images at random.

    Args:
        count: number of images.
        ratios: shares of train, val and test; they add up to 1.
        seed: fixes the split, independently of the run's seed.

    Raises:
        DataError: a split would be empty.
    """
    order = np.random.default_rng(seed).permutation(count)
    first, second = round(count * ratios[0]), round(count * (ratios[0] + ratios[1]))
    parts = order[:first], order[first:second], order[second:]
    for split, ratio, part in zip(SPLITS, ratios, parts, strict=True):
        if ratio > 0 and len(part) == 0:
            raise DataError(
                f"{count} images are too few for data.ratios={list(ratios)}: {split} would be empty. "
                "Add images, change data.ratios, or try data=shapes."
            )
    return {split: sorted(int(row) for row in part) for split, part in zip(SPLITS, parts, strict=True)}


def group_by_split(splits: Sequence[Split | None]) -> dict[Split, list[int]]:
    """Split of each row → row numbers of each split."""
    return {name: [row for row, split in enumerate(splits) if split == name] for name in SPLITS}
