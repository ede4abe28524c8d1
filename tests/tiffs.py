"""TIFF files of kinds that Pillow does not write: raw files of cameras, and colours in floating point."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

Tags = dict[int, int | tuple[int, ...] | bytes | list[int]]


def float_colours() -> bytes:
    """A TIFF of three floating-point channels, which Pillow does not read."""
    pixels = np.zeros((4, 4, 3), "<f4").tobytes()
    tags: Tags = {256: 4, 257: 4, 258: (32, 32, 32), 259: 1, 262: 2, 277: 3, 278: 4, 279: len(pixels), 339: (3, 3, 3)}
    return tiff([({**tags, 273: pixels}, None)])


def dng(preview: Image.Image, orientation: int = 1) -> bytes:
    """A raw file as cameras write it: a JPEG preview in front, and the pixels of a sensor behind."""
    sensor = np.random.default_rng(0).integers(0, 4096, (64, 96), dtype="<u2")
    buffer = io.BytesIO()
    preview.save(buffer, "JPEG")
    small = buffer.getvalue()
    front: Tags = {
        254: 1, 256: preview.width, 257: preview.height, 258: (8, 8, 8), 259: 7, 262: 6, 271: b"Imtext\0",
        272: b"Shoebox\0", 273: small, 274: orientation, 277: 3, 278: preview.height, 279: len(small),
        50706: bytes([1, 4, 0, 0]), 50708: b"Imtext Shoebox\0", 50721: [1, 0, 0, 0, 1, 0, 0, 0, 1], 50728: [1, 1, 1],
        50778: 21,
    }  # fmt: skip
    behind: Tags = {
        254: 0, 256: 96, 257: 64, 258: 16, 259: 1, 262: 32803, 273: sensor.tobytes(), 277: 1, 278: 64,
        279: sensor.nbytes, 33421: (2, 2), 33422: bytes([0, 1, 1, 2]), 50717: 4095,
    }  # fmt: skip
    return tiff([(front, 330), (behind, None)])


def tiff(directories: list[tuple[Tags, int | None]]) -> bytes:
    """A little-endian TIFF file.

    Args:
        directories: tags and their values, and the tag under which the next directory is found. Integers are written
            as LONG or SHORT, lists as fractions, bytes as they are. The value of tag 273 is what it points to.
    """
    content, start = bytearray(b"II*\0\x08\0\0\0"), 8
    for tags, link in directories:
        entries: dict[int, tuple[int, int, bytes]] = {}
        for tag, value in tags.items():
            if isinstance(value, tuple):
                entries[tag] = 3, len(value), struct.pack(f"<{len(value)}H", *value)
            elif isinstance(value, list):
                entries[tag] = (
                    10,
                    len(value),
                    b"".join(struct.pack("<ii", number, 1) for number in value),
                )
            elif isinstance(value, bytes) and tag != 273:
                entries[tag] = (2 if value.endswith(b"\0") and tag < 50706 else 1), len(value), value
            else:
                entries[tag] = 4, 1, struct.pack("<I", value if isinstance(value, int) else 0)
        if link:
            entries[link] = 4, 1, b"next"
        place = start + 6 + 12 * len(entries)
        table, data = struct.pack("<H", len(entries)), b""
        follows = {tag: value for tag, (_, _, value) in entries.items() if len(value) > 4}
        pixels = tags[273]
        assert isinstance(pixels, bytes)
        end = place + sum(len(value) + len(value) % 2 for value in follows.values())
        for tag, (kind, count, value) in sorted(entries.items()):
            if tag == 273:
                value = struct.pack("<I", end)
            elif tag == link:
                value = struct.pack("<I", end + len(pixels) + len(pixels) % 2)
            elif tag in follows:
                data, value = data + value + b"\0" * (len(value) % 2), struct.pack("<I", place + len(data))
            table += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
        content[start:] = table + bytes(4) + data + pixels + b"\0" * (len(pixels) % 2)
        start = len(content)
    return bytes(content)
