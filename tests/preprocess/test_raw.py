"""Previews of raw files, turned as the camera was held."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imtext.preprocess import open_image
from imtext.preprocess.raw import open_raw
from tests.tiffs import dng

QUARTERS = Image.new("RGB", (40, 30), "white")
QUARTERS.paste("red", (0, 0, 20, 15))


@pytest.mark.parametrize(("orientation", "corner"), [(1, (5, 5)), (3, (35, 25)), (6, (25, 5)), (8, (5, 35))])
def test_the_preview_is_upright(tmp_path: Path, orientation: int, corner: tuple[int, int]) -> None:
    content = dng(QUARTERS, orientation)
    (tmp_path / "a.dng").write_bytes(content)
    for source in (content, tmp_path / "a.dng"):
        image = open_image(source)
        red = np.asarray(image).astype(int)
        assert image.size == ((30, 40) if orientation > 4 else (40, 30))
        x, y = corner
        assert red[y, x, 0] - red[y, x, 1] > 150
        assert (np.abs(red[..., 0] - red[..., 1]) > 100).mean() == pytest.approx(0.25, abs=0.05)


def test_a_preview_that_is_too_small_is_not_used() -> None:
    assert open_raw(dng(QUARTERS), 30, 10_000).size == (40, 30)
    assert open_raw(dng(QUARTERS), 31, 10_000).size == (48, 32)  # half of the sensor's


def test_limits_and_broken_files() -> None:
    with pytest.raises(ValueError, match="96×64 pixels, more than the limit of 6,000"):
        open_raw(dng(QUARTERS), None, 6_000)
    with pytest.raises(ValueError, match="raw file: "):
        open_raw(dng(QUARTERS)[:600], None, 10_000)
