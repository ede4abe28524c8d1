"""Convert a picture to model input: the same code for training and search, without torch."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from imtext.errors import ConfigError
from imtext.preprocess.formats import HEAD, RAW, is_readable, sniff, why_unreadable
from imtext.preprocess.jxl import jxl_size
from imtext.preprocess.raw import open_raw
from imtext.preprocess.shades import eight_bits, is_deep

MAX_PIXELS = 200_000_000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # `open_image` refuses instead
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # broken EXIF data does not matter

log = logging.getLogger(__name__)

Resize = Literal["squash", "crop"]
Interpolation = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]  # Pillow's names
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Preprocess:
    """Resize a picture to a square and normalise it.

    Args:
        image_size: side of the square that the model sees, in pixels.
        image_mean: per-channel mean, subtracted after scaling pixels to 0…1 (default: ImageNet).
        image_std: per-channel standard deviation, a divisor (default: ImageNet).
        resize: ``squash`` ignores the aspect ratio and keeps the whole picture; ``crop`` keeps the aspect ratio and
            only the centre.
        interpolation: how pixels are resampled.
    """

    image_size: int = 224
    image_mean: Sequence[float] = (0.485, 0.456, 0.406)
    image_std: Sequence[float] = (0.229, 0.224, 0.225)
    resize: Resize = "squash"
    interpolation: Interpolation = "bicubic"

    def __post_init__(self) -> None:
        if self.image_size < 32:
            raise ConfigError(f"image_size must be at least 32 (image towers halve it 5 times), not {self.image_size}")
        if self.resize not in get_args(Resize):
            raise ConfigError(f"resize must be one of {', '.join(get_args(Resize))}, not {self.resize!r}")
        if self.interpolation not in get_args(Interpolation):
            known = ", ".join(get_args(Interpolation))
            raise ConfigError(f"interpolation must be one of {known}, not {self.interpolation!r}")
        if len(self.image_mean) != 3 or len(self.image_std) != 3 or min(self.image_std) <= 0:
            raise ConfigError("image_mean and image_std take three numbers each, and image_std is above zero")
        for name in ("image_mean", "image_std"):  # so that lists from a file equal tuples from code
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))

    def pixels(self, image: Image.Image) -> Pixels:
        """Picture → ``[image_size, image_size, 3]`` uint8."""
        size = (self.image_size, self.image_size)
        if image.size == size:
            return np.asarray(image, dtype=np.uint8)
        method = Image.Resampling[self.interpolation.upper()]
        if self.resize == "crop":
            fitted = ImageOps.fit(image, size, method=method)
        else:
            fitted = image.resize(size, method, reducing_gap=3.0)
        return np.asarray(fitted, dtype=np.uint8)

    def override(self, **settings: Any) -> Preprocess:
        """A copy with these settings; None leaves a setting unchanged.

        Raises:
            ConfigError: a value is not allowed.
        """
        return replace(self, **{name: value for name, value in settings.items() if value is not None})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in checkpoints and bundles."""
        return asdict(self) | {"image_mean": list(self.image_mean), "image_std": list(self.image_std)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocess:
        """The inverse of `to_dict`. A value that an older version did not store gets its default."""
        return cls(**values)


def open_image(source: Path | bytes, target_size: int | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open a picture as upright RGB. Its type is that of its content, whatever its name is.

    Args:
        source: path or content of a file.
        target_size: if given, a JPEG is decoded directly at the smallest scale that is at least this
            large on both sides, which is several times faster for photos.
        max_pixels: limit, checked in the header before anything is decoded.

    Raises:
        ValueError: not a picture, not an allowed format, or too many pixels.
    """
    kind: str | None = "file"
    try:
        kind = sniff(read_head(source))
        if not is_readable(kind):
            raise ValueError(why_unreadable(kind))
        image = open_raw(source, target_size, max_pixels) if kind in RAW else _open(source, kind, max_pixels)
        if target_size is not None:
            image.draft("RGB", (target_size, target_size))
        return upright_rgb(image)
    except (ValueError, MemoryError):
        raise
    except Exception as error:  # of broken files, decoders raise many kinds of errors
        log.debug("A decoder failed", exc_info=True)
        said = isinstance(error, OSError | SyntaxError | Image.DecompressionBombError) and str(error)
        unusual = f"a broken {kind}, or of an unusual kind"
        raise ValueError(unusual if isinstance(error, UnidentifiedImageError) else said or unusual) from error


def read_head(source: Path | bytes) -> bytes:
    """The first bytes of a file, which tell its type.

    Args:
        source: path or content of a file.
    """
    if isinstance(source, bytes):
        return source[:HEAD]
    with source.open("rb") as file:
        return file.read(HEAD)


def _open(source: Path | bytes, kind: str, max_pixels: int) -> Image.Image:
    """Open a picture with Pillow, which does not decode it yet."""
    content = io.BytesIO(source) if isinstance(source, bytes) else source
    if kind == "JXL":  # its decoder reads everything at once
        content = io.BytesIO(source if isinstance(source, bytes) else source.read_bytes())
        _require_size(*jxl_size(content.getvalue()), max_pixels)
    register(kind)
    image = Image.open(content, formats=(kind,))
    _require_size(*image.size, max_pixels)
    return image


def _require_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ValueError(f"{width}×{height} pixels, more than the limit of {max_pixels:,}")


@cache
def register(kind: str) -> None:
    """Teach Pillow formats that it does not know itself; loaded only when needed."""
    if kind == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    elif kind == "JXL":
        import pillow_jxl  # noqa: F401


def upright_rgb(image: Image.Image) -> Image.Image:
    """Rotate a picture by its EXIF data, give it a white background, and convert it to three 8-bit channels."""
    try:
        image = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, MemoryError):  # the pixels are broken
        raise
    except Exception:  # the EXIF data is broken; Pillow raises many kinds of errors
        log.debug("Ignored unreadable EXIF data", exc_info=True)
    if is_deep(image.mode):  # Pillow would clip the values at 255
        image = eight_bits(image)
    if image.has_transparency_data:  # just dropping alpha would leave the hidden colour, often black
        image = image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image)
        return paper
    return image.convert("RGB")
