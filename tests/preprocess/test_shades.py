"""Deep greyscale keeps its shades: never one flat colour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from imtext.preprocess import open_image
from imtext.preprocess.shades import eight_bits, is_deep
from tests.search.index.shoebox import deep, encoded, holes


def shades(image: Image.Image, kind: str = "TIFF") -> npt.NDArray[Any]:
    """What the model sees of a picture in a file, one of three equal channels."""
    pixels = np.asarray(open_image(encoded(image, kind)))
    assert (pixels[..., 0] == pixels[..., 2]).all()
    return pixels[..., 0]


def test_modes() -> None:
    assert [mode for mode in ("1", "L", "I", "F", "I;16", "I;16B", "RGB", "LA") if is_deep(mode)] == [
        "I", "F", "I;16", "I;16B",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("dtype", "white"),
    [
        (np.float32, 1), (np.float32, 255), (np.float32, 0.01), (np.float32, 3e38),
        (np.uint16, 65535), (np.uint16, 4095),
        (np.uint16, 255), (np.uint16, 300), (np.int32, 255), (np.int32, 65535), (np.int32, 2**31 - 1),
    ],
)  # fmt: skip
def test_a_ramp_stays_a_ramp(dtype: npt.DTypeLike, white: float) -> None:
    ramp = shades(deep(dtype, white)).ravel().astype(int)
    assert ramp[0] <= 1
    assert ramp[-1] >= 127 if white == 2**31 - 1 else ramp[-1] >= 254  # half of what the type can hold
    assert (np.diff(ramp) >= 0).all()
    assert len(set(ramp)) >= 120


@pytest.mark.parametrize(
    ("change", "lightest"),
    [
        (lambda values: values, 255),
        (lambda values: values * 0.5, 128),  # darker, but of the usual range: it stays darker
        (lambda values: values - 0.5, 255),
        (lambda values: values * 1000 - 300, 255),
        (lambda values: np.full_like(values, 0.5), 128),
        (lambda values: np.full_like(values, 700), 128),
        (lambda values: np.zeros_like(values), 0),
    ],
)
def test_ranges_of_floats(change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]], lightest: int) -> None:
    assert shades(Image.fromarray(change(np.array(deep(np.float32, 1))))).max() == pytest.approx(lightest, abs=1)


def test_one_hot_pixel_does_not_make_the_others_black() -> None:
    values = np.array(deep(np.float32, 100))
    values[10, 10] = 1e9
    assert len(np.unique(shades(Image.fromarray(values)))) > 200


def test_pixels_that_are_no_numbers() -> None:
    found = shades(Image.fromarray(holes()))
    assert found[0, :3].tolist() == [0, 255, 0]
    assert len(np.unique(found)) > 200
    with pytest.raises(ValueError, match="no pixel is a finite number"):
        eight_bits(Image.fromarray(np.full((2, 2), np.inf, np.float32)))


def test_integers_without_signs() -> None:
    image = Image.fromarray(np.array([[-1, 0]], np.int32))  # 4,294,967,295
    image.tag_v2 = {339: (1,)}  # type: ignore[attr-defined]
    assert np.asarray(eight_bits(image)).tolist() == [[255, 0]]


def test_eight_bits_in_a_larger_type_stay_as_they_are() -> None:
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    np.testing.assert_array_equal(shades(Image.fromarray(values), "PNG"), values)
