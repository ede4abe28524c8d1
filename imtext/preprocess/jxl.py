"""JPEG XL: the size that a file claims to have. The decoder reads the whole picture before it tells the size."""

from __future__ import annotations

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width : height


def jxl_size(content: bytes) -> tuple[int, int]:
    """Width and height in the header, in pixels (ISO/IEC 18181-1, SizeHeader).

    Raises:
        ValueError: there is no header.
    """
    start = 0 if content[:2] == b"\xff\x0a" else _codestream(content)
    bits = int.from_bytes(content[start + 2 : start + 12], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    small = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    height, ratio = side(), take(3)
    if ratio == 0:
        return side(), height
    wide, high = _RATIOS[ratio - 1]
    return height * wide // high, height


def _codestream(content: bytes) -> int:
    """Where the codestream begins in a file of boxes."""
    place = 0
    while len(content) >= place + 8:
        size, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        header = 16 if size == 1 else 8
        if kind in (b"jxlc", b"jxlp"):
            return place + header + (4 if kind == b"jxlp" else 0)
        place += int.from_bytes(content[place + 8 : place + 16], "big") if size == 1 else size
        if size == 0:
            break
    raise ValueError("JXL file without a picture")
