"""What every data source delivers: images with their captions, and how they are split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from imtext.errors import DataError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class CaptionedImages:
    """N images with one or more captions each.

    Attributes:
        source: where they come from, for messages.
        captions: for each image its captions (1 … n).
        names: for each image a name people recognise (a path, or `train/17`).
        load_image: row number → RGB picture; raises ValueError on a broken one.
        fingerprint: changes whenever a picture or a caption changes; keys the image cache.
        official: the source's own split, row numbers by split name, where it has one.
    """

    source: str
    captions: Sequence[Sequence[str]]
    names: Sequence[str]
    load_image: Callable[[int], Image.Image]
    fingerprint: str
    official: dict[Split, list[int]] | None = None

    def __len__(self) -> int:
        return len(self.captions)

    def check(self) -> CaptionedImages:
        """Refuse an empty source and empty captions.

        Raises:
            DataError: naming the first images at fault.
        """
        if len(self) == 0:
            raise DataError(f"{self.source} holds no images. Check data.path, or try data=shapes.")
        empty = [
            name
            for name, captions in zip(self.names, self.captions, strict=True)
            if not captions or any(not caption.strip() for caption in captions)
        ]
        if empty:
            shown = ", ".join(empty[:5]) + (" …" if len(empty) > 5 else "")
            raise DataError(
                f"{len(empty)} of {len(self)} images in {self.source} have an empty caption: {shown}. "
                "Fill in or remove these rows, or pass data.skip_broken=true to leave the captions out."
            )
        return self


def fingerprint(parts: Sequence[bytes | str]) -> str:
    """A short hash of the parts, in order."""
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))  # so that ["ab"] and ["a", "b"] differ
        digest.update(data)
    return digest.hexdigest()


def split_by_ratios(count: int, ratios: Sequence[float], seed: int) -> dict[Split, list[int]]:
    """Cut `count` images into train, val and test at random.

    Args:
        count: number of images.
        ratios: the three shares; they add up to 1.
        seed: the same seed gives the same split, whatever the training seed is.

    Raises:
        DataError: a split would be empty.
    """
    order = np.random.default_rng(seed).permutation(count)
    first, second = round(count * ratios[0]), round(count * (ratios[0] + ratios[1]))
    parts = order[:first], order[first:second], order[second:]
    for split, ratio, part in zip(SPLITS, ratios, parts, strict=True):
        if ratio > 0 and len(part) == 0:
            raise DataError(
                f"{count} images are too few for data.ratios={list(ratios)}: {split} would get none. "
                "Add images, change data.ratios, or try data=shapes."
            )
    return {split: sorted(int(row) for row in part) for split, part in zip(SPLITS, parts, strict=True)}
