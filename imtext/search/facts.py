"""Facts of a picture: when, where and with what it was taken, its size, its hash, and what people wrote about it."""

from __future__ import annotations

import io
import logging
import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from PIL import ExifTags, Image, ImageFile

from imtext.preprocess.formats import FORMATS, sniff
from imtext.preprocess.picture import read_head, register
from imtext.search.hashing import hash_picture
from imtext.search.words.described import Described, from_exif, from_iptc, from_xmp, join

warnings.filterwarnings("ignore", message="Corrupt EXIF data")  # what is left of it is used

log = logging.getLogger(__name__)

Orientation = Literal["portrait", "landscape", "square"]
Value = TypeVar("Value")

ROTATED = range(5, 9)  # values of EXIF's Orientation that exchange width and height
# Words that makers add to their names: "NIKON CORPORATION", "OLYMPUS IMAGING CORP.".
COMPANY = re.compile(
    r"[\s,]+(corporation|corp|company|co|ltd|inc|imaging|optical|electronics|digital|camera|techwin|gmbh|ag)\b\.?", re.I
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a picture without any model; unknown facts are empty.

    Attributes:
        width: pixels, as displayed; 0: unknown.
        height: pixels, as displayed; 0: unknown.
        taken: local time when it was taken, ISO 8601 with seconds, and with the offset from UTC if that is known.
        camera: maker and model.
        latitude: degrees, north is positive.
        longitude: degrees, east is positive.
        hash: of its pixels, see `imtext.search.hashing`; empty: the picture is too plain; None: not computed.
        title: what people called it.
        caption: what people wrote about it.
        keywords: with commas between them.
    """

    width: int = 0
    height: int = 0
    taken: str = ""
    camera: str = ""
    latitude: float | None = None
    longitude: float | None = None
    hash: bytes | None = None
    title: str = ""
    caption: str = ""
    keywords: str = ""


def read_facts(source: Path | bytes, image: Image.Image | None = None) -> Facts:
    """Read the facts in the header of a picture, without decoding it.

    Broken or missing entries are left empty.

    Args:
        source: path or content of a file.
        image: the decoded picture, for its hash.

    Raises:
        OSError: the file cannot be opened.
    """
    digest = None if image is None else hash_picture(image)
    kind = sniff(read_head(source))
    formats = (kind,) if kind in FORMATS else ("TIFF",)  # most raw files are TIFF files inside
    register(formats[0])

    def read() -> Facts:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats) as opened:
            return _facts(opened)

    return replace(_or(Facts(), read), hash=digest)


def _facts(image: ImageFile.ImageFile) -> Facts:
    width, height = image.size
    # Not `image.getexif()`: for a PNG without EXIF data it decodes the whole picture.
    exif = _or(Image.Exif(), lambda: Image.Image.getexif(image))
    if _or(1, lambda: int(exif.get(ExifTags.Base.Orientation, 1))) in ROTATED:
        width, height = height, width
    nothing: dict[int, Any] = {}
    details = _or(nothing, lambda: exif.get_ifd(ExifTags.IFD.Exif))
    position = _or(None, lambda: _position(exif.get_ifd(ExifTags.IFD.GPSInfo)))
    return Facts(
        width,
        height,
        _date(_text(details.get(ExifTags.Base.DateTimeOriginal)), _text(details.get(ExifTags.Base.OffsetTimeOriginal))),
        _camera(_text(exif.get(ExifTags.Base.Make)), _text(exif.get(ExifTags.Base.Model))),
        *(position or (None, None)),
        **_description(image, exif)._asdict(),
    )


def _description(image: ImageFile.ImageFile, exif: Image.Exif) -> Described:
    nothing, xmp = Described(), image.info.get("xmp", b"")
    return join(
        [
            _or(nothing, lambda: from_xmp(xmp)) if xmp else nothing,
            _or(nothing, lambda: from_iptc(image)),
            _or(nothing, lambda: from_exif(exif)),
        ]
    )


def _or(default: Value, read: Callable[[], Value]) -> Value:
    """What `read` returns, or the default: of broken data, Pillow and parsers raise many kinds of errors."""
    try:
        return read()
    except Exception:
        log.debug("Ignored unreadable data of a header", exc_info=True)
        return default


def _text(value: Any) -> str:
    """A text of EXIF data on one line, without what follows its end."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""
    text = "".join(char if char.isprintable() else " " for char in text.partition("\0")[0])
    return " ".join(text.encode("utf-8", "replace").decode().split())[:100]


def _date(text: str, offset: str) -> str:
    """``2024:05:12 14:03:11`` and ``+01:00`` → ``2024-05-12T14:03:11+01:00``; cameras without a clock write zeros."""
    parts = re.match(r"(\d{4})[:/.-](\d\d)[:/.-](\d\d)[ T](\d\d):(\d\d)(?::(\d\d))?", text)
    zone = offset if re.fullmatch(r"[+-](0\d|1[0-4]):[0-5]\d", offset) else "+00:00" if offset == "Z" else ""
    try:
        local = datetime(*(int(part or 0) for part in parts.groups())) if parts else None  # type: ignore[arg-type]
    except ValueError:
        local = None
    return f"{local.isoformat()}{zone}" if local else ""


def _camera(make: str, model: str) -> str:
    """Maker and model without the maker's legal form, and the maker only once: ``NIKON D750``, ``Apple iPhone 12``."""
    make = COMPANY.sub("", make).strip(" ,.")
    known = not make or model.casefold().startswith(make.casefold().split()[0])
    return model if known and model else f"{make} {model}".strip()


def _position(gps: dict[int, Any]) -> tuple[float, float] | None:
    """Latitude and longitude; None without one. Zero and zero, in the ocean, is what devices write without a signal."""
    tags = ExifTags.GPS
    latitude = _degrees(gps[tags.GPSLatitude], gps.get(tags.GPSLatitudeRef), "S")
    longitude = _degrees(gps[tags.GPSLongitude], gps.get(tags.GPSLongitudeRef), "W")
    if not (abs(latitude) <= 90 and abs(longitude) <= 180) or latitude == longitude == 0:
        return None
    return latitude, longitude


def _degrees(parts: Sequence[Any], reference: Any, negative: str) -> float:
    """Degrees, minutes and seconds → degrees."""
    value = sum(float(part) / float(60**place) for place, part in enumerate(parts))
    if not math.isfinite(value):
        raise ValueError(f"{parts} are no degrees")
    return round(-value if _text(reference).upper().startswith(negative) else value, 6)
