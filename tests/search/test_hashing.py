"""Copies of a picture have nearly the same hash, other pictures have not, and all pairs are found."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from imtext.search import hashing
from imtext.search.hashing import BITS, close_pairs, distances, hash_picture, to_words
from tests.search.photos import scene

NEAR = 22


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    image.save(buffer := io.BytesIO(), "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def distance(one: Image.Image, other: Image.Image) -> int:
    return int(distances(to_words([hash_picture(one)]), to_words([hash_picture(other)]))[0, 0])


@pytest.mark.parametrize(
    ("copy", "most"),
    [
        (lambda image: jpeg(image, 40), 4),
        (lambda image: image.resize((80, 60)), 4),
        (lambda image: image.resize((1280, 960)), 2),
        (lambda image: image.convert("L").convert("RGB"), 2),
        (lambda image: ImageEnhance.Brightness(image).enhance(1.1), 6),
        (lambda image: image.filter(ImageFilter.GaussianBlur(1)), 4),
        (lambda image: image.crop((6, 5, 320, 240)), NEAR),
        (lambda image: image.rotate(1), NEAR),
    ],
)
def test_copies_are_close(copy: Callable[[Image.Image], Image.Image], most: int) -> None:
    assert all(distance(scene(seed), copy(scene(seed))) <= most for seed in range(10))


def test_other_pictures_are_far() -> None:
    hashes = to_words([hash_picture(scene(seed)) for seed in range(30)])
    assert distances(hashes, hashes)[~np.eye(30, dtype=bool)].min() > NEAR
    mirrored = scene(0).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert distance(scene(0), mirrored) > NEAR


def test_plain_pictures_have_none() -> None:
    ramp = Image.linear_gradient("L").convert("RGB")
    for plain in (Image.new("RGB", (40, 30), "red"), Image.new("RGB", (1, 1)), ramp):
        assert hash_picture(plain) == b""
    assert len(hash_picture(scene(0))) == BITS // 8


def test_all_pairs_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "ROWS", 7)
    monkeypatch.setattr(hashing, "COLUMNS", 10)
    rng = np.random.default_rng(0)
    bits = np.repeat(rng.random((20, BITS)) < 0.5, 3, axis=0)
    bits ^= rng.random(bits.shape) < 0.05
    hashes = to_words([np.packbits(row).tobytes() for row in bits])
    expected = [
        (row, column)
        for row in range(60)
        for column in range(row + 1, 60)
        if np.count_nonzero(bits[row] != bits[column]) <= NEAR
    ]
    found = [pair for first, second in close_pairs(hashes, NEAR) for pair in zip(first, second, strict=True)]
    assert found == expected
    assert len(expected) > 50
    assert not list(close_pairs(to_words([]), NEAR))
