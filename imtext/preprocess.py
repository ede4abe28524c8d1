"""The one definition of how a picture becomes model input. Free of torch, so search can use it too."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from imtext.errors import ConfigError

# Pillow opens many formats nobody photographs in, some with a history of decompression bombs:
# only these are ever tried.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 200_000_000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # `open_image` refuses instead

log = logging.getLogger(__name__)

Resize = Literal["squash", "crop"]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Preprocess:
    """Resize a picture to a square and normalise it.

    Args:
        image_size: side of the square the model sees, in pixels.
        image_mean: per-channel mean subtracted after scaling pixels to 0…1 (default: ImageNet).
        image_std: per-channel standard deviation divided by (default: ImageNet).
        resize: ``squash`` ignores the aspect ratio and keeps everything in view; ``crop`` scales the
            shorter side and cuts the rest off around the centre.
    """

    image_size: int = 224
    image_mean: Sequence[float] = (0.485, 0.456, 0.406)
    image_std: Sequence[float] = (0.229, 0.224, 0.225)
    resize: Resize = "squash"

    def __post_init__(self) -> None:
        if self.image_size < 32:
            raise ConfigError(f"image_size must be at least 32 (the network halves it 5 times), not {self.image_size}")
        if self.resize not in get_args(Resize):
            raise ConfigError(f"resize must be one of {', '.join(get_args(Resize))}, not {self.resize!r}")
        if len(self.image_mean) != 3 or len(self.image_std) != 3 or min(self.image_std) <= 0:
            raise ConfigError("image_mean and image_std take three numbers each, image_std above zero")
        for name in ("image_mean", "image_std"):  # lists from a file compare like tuples from code
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))

    def pixels(self, image: Image.Image) -> Pixels:
        """Picture → ``[image_size, image_size, 3]`` uint8."""
        size = (self.image_size, self.image_size)
        if image.size == size:
            return np.asarray(image, dtype=np.uint8)
        if self.resize == "crop":
            fitted = ImageOps.fit(image, size, method=Image.Resampling.BICUBIC)
        else:
            fitted = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
        return np.asarray(fitted, dtype=np.uint8)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in checkpoints."""
        return {
            "image_size": self.image_size,
            "image_mean": list(self.image_mean),
            "image_std": list(self.image_std),
            "resize": self.resize,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocess:
        """The inverse of `to_dict`."""
        return cls(**values)


def open_image(source: Path | bytes, target_size: int | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open a picture as upright RGB.

    Args:
        source: a file's path or its encoded bytes.
        target_size: when given, a JPEG is decoded straight to the smallest scale that is at least this
            large on both sides, which is several times faster for photos.
        max_pixels: read from the header, before anything is decoded.

    Raises:
        ValueError: not a picture, not an allowed format, or more pixels than that.
    """
    try:
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)
        if image.width * image.height > max_pixels:
            raise ValueError(f"{image.width}×{image.height} pixels, more than the limit of {max_pixels:,}")
        if target_size is not None:
            image.draft("RGB", (target_size, target_size))
        return upright_rgb(image)
    except UnidentifiedImageError as error:
        raise ValueError(f"not a picture of these formats: {', '.join(FORMATS)}") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF says, put white behind what is transparent, and leave three channels of 8 bits."""
    try:
        image = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, MemoryError):  # the pixels
        raise
    except Exception:  # the EXIF, which has more ways to be broken than Pillow has names for
        log.debug("EXIF data that cannot be read", exc_info=True)
    if image.mode.startswith("I;16"):  # Pillow would clip at 255 what goes to 65,535
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:  # what is behind it is mostly paper, seldom the black that is left without alpha
        image = image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image)
        return paper
    return image.convert("RGB")
