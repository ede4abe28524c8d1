"""The type of a file by its first bytes: pictures that are read, and pictures and videos that are not."""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from functools import cache
from importlib.util import find_spec

from imtext.errors import Extra

HEAD = 4096  # bytes at the start of a file that tell its type

# Read by the base install. Pillow supports many more formats. They are not used for photos, and some of them allow
# decompression bombs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
CAMERAS = {  # maker, as written into a file → its type of raw files, for those that are TIFF files inside
    b"NIKON": "NEF", b"SONY": "ARW", b"PENTAX": "PEF", b"RICOH": "PEF", b"SAMSUNG": "SRW", b"HASSELBLAD": "3FR",
    b"PHASE": "IIQ", b"LEAF": "MOS", b"EPSON": "ERF", b"KODAK": "KDC", b"EASTMAN": "DCR", b"OLYMPUS": "ORF",
    b"PANASONIC": "RW2", b"LEICA": "RWL",
}  # fmt: skip
RAW = frozenset({"CR2", "CR3", "CRW", "RAF", "X3F", "MRW", "DNG", *CAMERAS.values()})
# A file with one of these endings whose content is no picture is reported as broken.
ENDING = re.compile(
    r"\.(jpe?g|jpe|jfif|mpo|png|apng|webp|gif|bmp|tiff?|avif|hei[cf]|hif|jxl|nrw|sr2|"
    rf"{'|'.join(sorted(RAW)).lower()})$",
    re.IGNORECASE,
)

_EXTRAS: dict[str, Extra] = {"JXL": "jxl", **dict.fromkeys(RAW, "raw")}
_MODULES: dict[Extra, str] = {"jxl": "pillow_jxl", "raw": "rawpy"}
_STARTS = (
    (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"),
    (b"\xff\x0a", "JXL"), (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
    (b"FUJIFILMCCD-RAW", "RAF"), (b"IIRO", "ORF"), (b"IIRS", "ORF"), (b"MMOR", "ORF"), (b"IIU\0", "RW2"),
    (b"FOVb", "X3F"), (b"\0MRM", "MRW"), (b"II\x1a\0\0\0HEAPCCDR", "CRW"),
    (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"),
    (b"8BPS", "PSD"), (b"gimp xcf", "XCF"), (b"%!PS-Adobe", "EPS"), (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"), (b"\xff\x4f\xff\x51", "JPEG 2000"), (b"II\xbc", "JPEG XR"),
    (b"\x76\x2f\x31\x01", "EXR"), (b"#?RADIANCE", "HDR"), (b"DDS ", "DDS"), (b"qoif", "QOI"), (b"icns", "ICNS"),
    (b"\x1aE\xdf\xa3", "MKV"), (b"FLV\x01", "FLV"), (b"\0\0\x01\xba", "MPEG"), (b"\0\0\x01\xb3", "MPEG"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMV"),
)  # fmt: skip
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"miaf"}
_AUDIO = {b"M4A ", b"M4B ", b"M4P ", b"F4A "}
_SVG = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>|<!--.*?-->|<!DOCTYPE svg[^>]*>|\s)*<svg[\s>]", re.DOTALL)
_BITMAP_HEADERS = {12, 40, 52, 56, 64, 108, 124}  # bytes
_MAKE, _COMPRESSION, _SUBFILE, _SUBIFDS, _DNG_VERSION = 271, 259, 254, 330, 50706  # tags of TIFF
_SHORT = 3  # type of a tag's value: two bytes
_RAW_COMPRESSIONS = {32767, 32769, 32770, 34713, 65535}  # of Sony, Epson, Samsung, Nikon, Pentax


def sniff(head: bytes) -> str:
    """The type of a file by its first bytes, such as ``JPEG``, ``CR2``, ``SVG`` or ``MOV``.

    Args:
        head: the first `HEAD` bytes, or the whole file if it is shorter.

    Returns:
        A name for people; empty if the file is neither a picture nor a video.
    """
    for start, kind in _STARTS:
        if head.startswith(start):
            return _inside_tiff(head) if kind == "TIFF" else kind
    if head[:4] == b"RIFF":
        return {b"WEBP": "WEBP", b"AVI ": "AVI"}.get(head[8:12], "")
    if head[:2] == b"BM" and head[14:15] and head[14] in _BITMAP_HEADERS and head[15:18] == b"\0\0\0":
        return "BMP"
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head[4:8] in (b"moov", b"mdat", b"wide") and head[:1] == b"\0":  # from before brands
        return "MOV"
    if head[:4] == b"\0\0\1\0" and head[5:6] == b"\0" and head[9:10] == b"\0":
        return "ICO"
    if any(head[first : first + 2 * step + 1 : step] == b"GGG" for first, step in ((0, 188), (4, 192))):
        return "MTS"
    return "SVG" if _SVG.match(head) else ""


def is_readable(kind: str) -> bool:
    """Whether files of a type are read, with the extras that are installed."""
    return kind in FORMATS or (kind in _EXTRAS and _is_installed(_MODULES[_EXTRAS[kind]]))


def install_hint(kind: str) -> str:
    """The command after which files of a type are read; empty if there is none."""
    return f'pip install "imtext[{_EXTRAS[kind]}]"' if kind in _EXTRAS else ""


def why_unreadable(kind: str) -> str:
    """Why a file of this type, which is not readable, is refused."""
    if hint := install_hint(kind):
        return f"{kind} is read after {hint}"
    return f"{kind + ', ' if kind else ''}not a picture of these formats: {', '.join(FORMATS)}"


@cache
def _is_installed(module: str) -> bool:
    return find_spec(module) is not None


def _by_brand(head: bytes) -> str:
    """The type of a file in boxes, by its main brand and by those that it is compatible with."""
    size, brand = int.from_bytes(head[:4], "big"), head[8:12]
    if brand in (b"avif", b"avis"):
        return "AVIF"
    if brand in _HEIF:
        return "AVIF" if b"avif" in head[16:size] and b"heic" not in head[16:size] else "HEIF"
    if brand == b"crx ":
        return "CR3"
    if brand in _AUDIO:
        return ""
    return {b"qt ": "MOV", b"3gp": "3GP", b"3g2": "3GP"}.get(brand[:3], "MP4")


def _inside_tiff(head: bytes) -> str:
    """TIFF, or the raw type of a camera: what most of them write is a TIFF file with a preview in front."""
    if head[8:10] == b"CR":
        return "CR2"
    tags = _tiff_tags(head)
    if _DNG_VERSION in tags:
        return "DNG"
    if (tags.get(_SUBFILE) == 1 and _SUBIFDS in tags) or tags.get(_COMPRESSION) in _RAW_COMPRESSIONS:
        maker = re.match(rb"[A-Z]*", head[tags.get(_MAKE, HEAD) :].upper())
        return CAMERAS.get(maker[0], "TIFF") if maker else "TIFF"
    return "TIFF"


def _tiff_tags(head: bytes) -> dict[int, int]:
    """The tags of the first directory, with their values, or where those are; those beyond the head are left out."""
    order, tags = "<" if head[:2] == b"II" else ">", {}
    with suppress(struct.error):  # most programs write the tags at the end of a file, cameras do not
        (start,) = struct.unpack_from(f"{order}I", head, 4)
        (count,) = struct.unpack_from(f"{order}H", head, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", head, entry)
            (tags[tag],) = struct.unpack_from(f"{order}{'H' if kind == _SHORT else 'I'}", head, entry + 8)
    return tags
