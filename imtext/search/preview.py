"""A preview of pictures in the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from imtext.preprocess import Pixels, open_image
from imtext.search.files import picture_of

COLUMNS, ROWS = 28, 9  # characters of one picture
GRAY = (90, 90, 90)  # in place of a picture that cannot be read


def can_preview() -> bool:
    """Whether standard output is a terminal with 24-bit colours."""
    return sys.stdout.isatty() and os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")


def preview(paths: Sequence[str]) -> str:
    """Pictures side by side. Each character is a half block, which shows two pixels."""
    tiles = [_tile(path) for path in paths]
    return "\n".join("".join(_line(tile, y) for tile in tiles) for y in range(0, 2 * ROWS, 2))


def _tile(path: str) -> Pixels:
    size = (COLUMNS, 2 * ROWS)
    try:
        return np.asarray(ImageOps.fit(open_image(picture_of(path), 64), size))
    except (OSError, ValueError):
        return np.asarray(Image.new("RGB", size, GRAY))


def _line(tile: Pixels, y: int) -> str:
    """Rows `y` and `y + 1` of a picture as one line of text: the upper pixel is drawn on the lower one."""
    cells = []
    for upper, lower in zip(tile[y], tile[y + 1], strict=True):
        (r, g, b), (r2, g2, b2) = upper, lower
        cells.append(f"\033[38;2;{r};{g};{b}m\033[48;2;{r2};{g2};{b2}m▀")
    return "".join(cells) + "\033[0m "
