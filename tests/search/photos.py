"""Pictures with the entries that cameras write, and pictures with the structure of photos."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from PIL import ExifTags, Image

Base, Gps = ExifTags.Base, ExifTags.GPS


def photo(
    path: Path,
    size: tuple[int, int] = (40, 30),
    taken: str = "",
    offset: str = "",
    camera: tuple[str, str] = ("", ""),
    place: tuple[float, float] | None = None,
    exif: Mapping[int, Any] | None = None,
    seed: int = 0,
    xmp: bytes = b"",
) -> Path:
    """Save a picture of noise; `exif`: further entries, or groups of entries."""
    entries = Image.Exif()
    entries[Base.Software] = "imtext"  # Pillow takes groups alone for nothing
    if taken:
        entries.get_ifd(ExifTags.IFD.Exif)[Base.DateTimeOriginal] = taken
    if offset:
        entries.get_ifd(ExifTags.IFD.Exif)[Base.OffsetTimeOriginal] = offset
    for tag, value in zip((Base.Make, Base.Model), camera, strict=True):
        if value:
            entries[tag] = value
    if place:
        entries.get_ifd(ExifTags.IFD.GPSInfo).update(
            {
                Gps.GPSLatitudeRef: "N" if place[0] >= 0 else "S", Gps.GPSLatitude: _sexagesimal(place[0]),
                Gps.GPSLongitudeRef: "E" if place[1] >= 0 else "W", Gps.GPSLongitude: _sexagesimal(place[1]),
            }
        )  # fmt: skip
    for number, content in (exif or {}).items():
        if isinstance(content, Mapping):
            entries.get_ifd(number).update(content)
        else:
            entries[number] = content
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    packet: dict[str, Any] = {"xmp": xmp} if xmp else {}
    Image.fromarray(pixels).save(path, exif=entries, **packet)
    return path


def _sexagesimal(degrees: float) -> tuple[float, float, float]:
    """Degrees, minutes and seconds."""
    minutes, seconds = divmod(abs(degrees) * 3600, 60)
    return (minutes // 60, minutes % 60, round(seconds, 4))


def scene(seed: int) -> Image.Image:
    """Large and small shapes of all shades, as a real photo has them."""
    rng = np.random.default_rng(seed)
    total = np.zeros((240, 320, 3))
    for size in (5, 12, 40):
        coarse = Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize((320, 240), Image.Resampling.BICUBIC)) / 3
    return Image.fromarray(total.astype(np.uint8))


def xmp(title: str = "", caption: str = "", keywords: Sequence[str] = (), more: str = "") -> bytes:
    """An XMP packet as photo programs write it; `more`: further elements."""

    def items(kind: str, texts: Sequence[str]) -> str:
        return f"<rdf:{kind}>{''.join(f'<rdf:li>{escape(text)}</rdf:li>' for text in texts)}</rdf:{kind}>"

    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'xmlns:dc="http://purl.org/dc/elements/1.1/">'
        + (f"<dc:title>{items('Alt', [title])}</dc:title>" if title else "")
        + (f"<dc:description>{items('Alt', [caption])}</dc:description>" if caption else "")
        + (f"<dc:subject>{items('Bag', keywords)}</dc:subject>" if keywords else "")
        + f'{more}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def iptc(title: bytes, caption: bytes, keywords: Sequence[bytes]) -> bytes:
    """A segment of a JPEG file with entries of the Information Interchange Model."""
    entries = [(5, title), (120, caption), *((25, keyword) for keyword in keywords)]
    records = b"".join(b"\x1c\x02" + struct.pack(">BH", number, len(text)) + text for number, text in entries)
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records + b"\0" * (len(records) % 2)
    content = b"Photoshop 3.0\0" + block
    return b"\xff\xed" + struct.pack(">H", 2 + len(content)) + content
