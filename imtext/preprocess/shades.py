"""Greyscale with more than eight bits becomes eight bits: integers of 16 and 32 bits, and floating-point numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

WHITE = {"I": (2**8, 2**16, 2**32), "F": (1.001,)}  # kind of numbers → white is just below; 1 may be rounded up
DARKEST = 1 / 16  # of white: a picture whose lightest shade is below uses only a part of its type
SAMPLE = 1_000_000  # pixels that the range is measured on
OUTLIERS = 0.1  # per cent at both ends that may be cut: a hot pixel must not make all others black


def is_deep(mode: str) -> bool:
    """Whether a picture of this mode of Pillow has more than eight bits per channel."""
    return mode in WHITE or mode.startswith("I;16")


def eight_bits(image: Image.Image) -> Image.Image:
    """A deep greyscale picture in mode ``L``.

    Black is 0 and white the largest number of the type: 1 for floating point; 255, 65,535 or 4,294,967,295 for
    integers, whichever the lightest shade needs. If that would leave the picture almost black, or if shades are
    negative or above white, the picture's own range is used. Pixels that are no number become black, infinite ones
    black or white.

    Raises:
        ValueError: no pixel is a finite number.
    """
    values = np.asarray(image)
    if image.mode == "I" and getattr(image, "tag_v2", {}).get(339, (1,)) == (1,):  # TIFF without signs
        values = values.view(np.uint32)
    low, high = _range(values, WHITE[image.mode[0]])
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that no pixel should have
        scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(256 / (high - low))
    return Image.fromarray(np.nan_to_num(scaled, nan=0, posinf=255, neginf=0).clip(0, 255).astype(np.uint8))


def _range(values: npt.NDArray[Any], whites: tuple[float, ...]) -> tuple[float, float]:
    """The numbers that become black and white."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("no pixel is a finite number")
    least, most = float(finite.min()), float(finite.max())
    white = next((white for white in whites if most < white), None)
    if least >= 0 and white is not None and (most >= white * DARKEST or most == 0):
        return 0.0, white
    if least == most:  # one shade of an unknown type: grey
        return least - 1, least + 1
    cut = np.percentile(finite[:: max(1, finite.size // SAMPLE)].astype(np.float64), [OUTLIERS, 100 - OUTLIERS])
    low, high = float(cut[0]), float(cut[1])
    return (low, high) if low < high else (least, most)
