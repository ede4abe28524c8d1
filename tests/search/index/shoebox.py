"""A shoebox of odd files, as found in photo folders, and what becomes of each of them.

Run as a program, it writes them into a folder to look at: ``python -m tests.search.index.shoebox <folder>``.
"""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pillow_heif
import pillow_jxl  # noqa: F401
from PIL import Image, ImageOps

from tests.tiffs import dng, float_colours

INDEXED, SILENT = "indexed", ""
REFUSED, OTHER, SKIPPED = "refused: ", "other: ", "skipped: "  # followed by a part of the reason, a type, a reason

Content = bytes | Callable[[Path], None]

# Names of files that show the same: each set is one group of near duplicates, and no other file is in any group.
FOLDED = [
    {"a.jpg", "link.jpg"},
    {"a.bmp", "copies/small.png", "copies/messenger.jpg", "copies/grey.webp", "copies/of a phone.HEIC"},
    {"turned 6.jpg", "copies/turned.png"},
    # Drawn from the same number, by chance.
    {"HEIC.heic", "2024/a.jpg"}, {"portrait.HIF", "Trash/a.jpg"}, {"pages.tif", "old.aplibrary/Masters/2011/a.jpg"},
]  # fmt: skip


def pack(folder: Path) -> dict[str, str]:
    """Write the files.

    Returns:
        Path of each file → `INDEXED`; `REFUSED`, `OTHER` or `SKIPPED` and why; or `SILENT` if nothing is said about it.
        A folder that is skipped as a whole stands for all files in it.
    """
    expected = {}
    for name, content, fate in (*_pictures(), *_broken(), *_no_pictures(), *_elsewhere()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert not path.exists()
        if callable(content):
            content(path)
        else:
            path.write_bytes(content)
        expected[str(path)] = fate
    return expected


def drawn(number: int = 0, mode: str = "RGB") -> Image.Image:
    """A small picture of its own colours."""
    colours = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((40, 30), Image.Resampling.NEAREST).convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """A picture as the content of a file."""
    pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def several() -> dict[str, object]:
    """Options to write a second picture into the same file."""
    return {"save_all": True, "append_images": [drawn(7)]}


def jpeg(number: int = 0) -> bytes:
    """The content of a JPEG file."""
    return encoded(drawn(number), "JPEG")


def _pictures() -> Iterator[tuple[str, Content, str]]:
    """Pictures of all kinds, under all names."""
    for name, content in {
        "a.jpg": jpeg(1), "A.JPEG": jpeg(2), "scan.jfif": jpeg(3),
        "HEIC.heic": encoded(drawn(10), "HEIF"), "portrait.HIF": encoded(drawn(11, "RGBA"), "HEIF"),
        "a.avif": encoded(drawn(12), "AVIF"), "a.jxl": encoded(drawn(13), "JXL"),
        "boxes.jxl": encoded(drawn(14), "JXL", use_container=True), "camera.dng": dng(drawn(15)),
        "a.webp": encoded(drawn(16), "WEBP"), "moving.webp": encoded(drawn(17), "WEBP", **several()),
        "a.gif": encoded(drawn(18, "P"), "GIF"), "moving.gif": encoded(drawn(19), "GIF", **several()),
        "moving.png": encoded(drawn(20), "PNG", **several()), "a.bmp": encoded(drawn(21), "BMP"),
        "two eyes.mpo": encoded(drawn(22), "MPO", **several()), "iphone.jpg": encoded(drawn(23), "MPO", **several()),
        "cmyk.jpg": encoded(drawn(24, "CMYK"), "JPEG"), "grey.jpg": encoded(drawn(25, "L"), "JPEG"),
        "progressive.jpg": encoded(drawn(26), "JPEG", progressive=True),
        "palette.png": encoded(drawn(27, "P"), "PNG", transparency=3), "alpha.png": encoded(drawn(28, "RGBA"), "PNG"),
        "grey alpha.png": encoded(drawn(29, "LA"), "PNG"), "one bit.png": encoded(drawn(30, "1"), "PNG"),
        "one pixel.png": encoded(Image.new("RGB", (1, 1), "red"), "PNG"),
        "panorama.png": encoded(Image.new("RGB", (3000, 2), "red"), "PNG"),
        "16 bits.png": encoded(deep(np.uint16, 65535), "PNG"), "12 bits.tif": encoded(deep(np.uint16, 4095), "TIFF"),
        "32 bits.tiff": encoded(deep(np.int32, 2**31 - 1), "TIFF"), "float.tif": encoded(deep(np.float32, 1), "TIFF"),
        "hot.tif": encoded(deep(np.float32, 5000), "TIFF"), "holes.tif": encoded(Image.fromarray(holes()), "TIFF"),
        "compressed.tif": encoded(drawn(31), "TIFF", compression="tiff_lzw"),
        "pages.tif": encoded(drawn(32), "TIFF", **several()), "fax.tif": encoded(drawn(33, "1"), "TIFF"),
        # Of another kind than their name says.
        "jpeg.heic": jpeg(40), "jpeg.png": jpeg(41), "png.jpg": encoded(drawn(42), "PNG"),
        "heic.jpg": encoded(drawn(43), "HEIF"), "webp.jpg": encoded(drawn(44), "WEBP"), "jpeg.cr2": jpeg(45),
        "jpeg.mov": jpeg(46), "jpeg.txt": jpeg(47), "no ending": jpeg(48), "IMG_1.jpg~": jpeg(49),
        "a.jpg.part": jpeg(50),
        # Odd names.
        "dog 🐕.jpg": jpeg(60), "two\nlines.jpg": jpeg(61), os.fsdecode(b"latin \xe9.jpg"): jpeg(62),
        "cafe\u0301.jpg": jpeg(63), "caf\u00e9.jpg": jpeg(64), "-rf.jpg": jpeg(65), "a*?[b].jpg": jpeg(66),
        "  blank .jpg": jpeg(67), f"{'long' * 60}.jpg": jpeg(68), "WhatsApp Images/IMG-20240101-WA0001.jpg": jpeg(69),
        "100APPLE/IMG_E0001.HEIC": encoded(drawn(70), "HEIF"),
        # Copies of a.bmp and of turned 6.jpg, and what looks like a copy and is none.
        "copies/small.png": encoded(drawn(21).resize((20, 15)), "PNG"),
        "copies/messenger.jpg": encoded(drawn(21), "JPEG", quality=30),
        "copies/grey.webp": encoded(drawn(21, "L"), "WEBP"), "copies/of a phone.HEIC": encoded(drawn(21), "HEIF"),
        "copies/turned.png": encoded(drawn(86).transpose(Image.Transpose.ROTATE_270), "PNG"),
        "copies/mirrored.png": encoded(drawn(21).transpose(Image.Transpose.FLIP_LEFT_RIGHT), "PNG"),
        "copies/negative.png": encoded(ImageOps.invert(drawn(21)), "PNG"),
    }.items():  # fmt: skip
        yield name, content, INDEXED
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"turned {orientation}.jpg", encoded(drawn(80 + orientation), "JPEG", exif=exif), INDEXED
    yield "broken exif.jpg", encoded(drawn(90), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), INDEXED
    yield "link.jpg", lambda path: path.symlink_to("a.jpg"), INDEXED


def _broken() -> Iterator[tuple[str, Content, str]]:
    """Files that are called pictures and cannot be read: each is named with a reason."""
    yield "empty.jpg", b"", REFUSED + "not a picture of these formats"
    yield "text.jpg", b"Dear all,\n", REFUSED + "not a picture of these formats"
    yield "page.png", b"<!doctype html><p>404<svg></svg>", REFUSED + "not a picture of these formats"
    yield "text.cr2", b"no picture", REFUSED + "not a picture of these formats"
    yield "zeros.heic", bytes(5000), REFUSED + "not a picture of these formats"
    yield "cut.jpg", jpeg()[:-300], REFUSED + "truncated"
    yield "start.jpg", jpeg()[:20], REFUSED + "a broken JPEG"
    yield "cut.png", encoded(drawn(), "PNG")[:-60], REFUSED + ""
    yield "cut.heic", encoded(drawn(), "HEIF")[:-200], REFUSED + ""
    yield "cut.avif", encoded(drawn(), "AVIF")[:200], REFUSED + ""
    yield "cut.jxl", encoded(drawn(), "JXL")[:60], REFUSED + ""
    yield "cut.dng", dng(drawn())[:600], REFUSED + ""
    yield "cut", jpeg()[:-300], REFUSED + "truncated"
    yield "huge.png", huge_png(), REFUSED + "pixels"
    yield "huge.jxl", b"\xff\x0a" + (3 << 1 | 99_999 << 3 | 1 << 33).to_bytes(10, "little"), REFUSED + "pixels"
    yield "nothing.tif", encoded(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF"), REFUSED + "finite"
    yield "colours.tif", float_colours(), REFUSED + "a broken TIFF, or of an unusual kind"
    yield "locked.jpg", locked, INDEXED if os.geteuid() == 0 else REFUSED + "Permission denied"
    yield "dangling.jpg", lambda path: path.symlink_to("nowhere.jpg"), REFUSED + "No such file"
    yield "ring.jpg", lambda path: path.symlink_to("ring.jpg"), REFUSED + "Too many levels"
    yield "pipe.jpg", lambda path: os.mkfifo(path), REFUSED + "not a regular file"
    yield "folder.jpg", lambda path: path.symlink_to("."), REFUSED + "not a regular file"


def _no_pictures() -> Iterator[tuple[str, Content, str]]:
    """Pictures and videos that are not read: counted by type. Other files: no word about them."""
    for name, content, kind in (
        ("IMG_1.MOV", b"\0\0\0\x14ftypqt  " + bytes(99), "MOV"), ("old.mov", b"\0\0\0\x08wide\0\0\0\0mdat", "MOV"),
        ("VID_1.mp4", b"\0\0\0\x18ftypmp42" + bytes(99), "MP4"), ("phone.3gp", b"\0\0\0\x14ftyp3gp4" + bytes(9), "3GP"),
        ("a.avi", b"RIFF\0\0\0\0AVI LIST", "AVI"), ("a.mkv", b"\x1aE\xdf\xa3" + bytes(50), "MKV"),
        ("a.mts", b"\0\0\0\0G" + b"".join(bytes(191) + b"G" for _ in range(3)), "MTS"),
        ("a.mpg", b"\0\0\x01\xba" + bytes(50), "MPEG"), ("a.psd", b"8BPS\0\x01" + bytes(50), "PSD"),
        ("a.svg", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        ("plain.svg", b"<svg></svg>", "SVG"), ("video.jpg", b"\0\0\0\x14ftypqt  " + bytes(99), "MOV"),
        ("a.jp2", encoded(drawn(), "JPEG2000"), "JPEG 2000"), ("a.ico", encoded(drawn(), "ICO"), "ICO"),
        ("a.exr", b"\x76\x2f\x31\x01\x02" + bytes(50), "EXR"), ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0", "EPS"),
        ("a.xcf", b"gimp xcf v011\0", "XCF"), ("film.heic", b"\0\0\0\x18ftypisom" + bytes(99), "MP4"),
    ):  # fmt: skip
        yield name, content, OTHER + kind
    for name, content in {
        "notes.txt": b"BMW, GIF and JPEG", "IMG_1.json": b'{"title": "IMG_1"}', "a.xmp": b"<x:xmpmeta/>",
        "IMG_1.AAE": b"<?xml version='1.0'?><plist/>", "index.html": b"<html><svg></svg></html>", "a.pdf": b"%PDF-1.7",
        "Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.db": b"SQLite", "a.zip": b"PK\3\4", "empty": b"",
        "voice.m4a": b"\0\0\0\x18ftypM4A " + bytes(99), "desktop.ini": b"[", "cut.mp3": b"ID3",
    }.items():  # fmt: skip
        yield name, content, SILENT
    yield "gone.txt", lambda path: path.symlink_to("nowhere.txt"), SILENT
    yield "pipe", lambda path: os.mkfifo(path), SILENT
    yield "ring/again", lambda path: path.symlink_to("."), SILENT


def _elsewhere() -> Iterator[tuple[str, Content, str]]:
    """Files in folders that contain no photos, hidden files, and those that an `.imtextignore` excludes."""
    for name, reason in (
        ("._a.jpg", "hidden"), (".trashed-1-IMG.jpg", "hidden"), (".hidden/a.jpg", "hidden"), (".git/a.jpg", "hidden"),
        ("@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg", "@eaDir"), ("2024/@eaDir/b.jpg", "@eaDir"),
        ("#recycle/a.jpg", "#recycle"),
        ("$RECYCLE.BIN/S-1-5/a.jpg", "$RECYCLE.BIN"), (".Trash-1000/files/a.jpg", ".Trash"),
        (".Trashes/a.jpg", ".Trash"),
        (".thumbnails/a.jpg", ".thumbnails"), ("DCIM/.thumbnails/a.jpg", ".thumbnails"), (".dtrash/a.jpg", ".dtrash"),
        (".@__thumb/a.jpg", ".@__thumb"), ("__MACOSX/a.jpg", "__MACOSX"), ("lost+found/a.jpg", "lost+found"),
        ("Catalog Previews.lrdata/a.jpg", "*.lrdata"), ("Smart Previews.LRDATA/a.dng", "*.lrdata"),
        ("P.photoslibrary/resources/derivatives/a.jpg", "in photo libraries"),
        ("P.photoslibrary/Previews/a.jpg", "in photo libraries"),
        ("old.aplibrary/Thumbnails/a.jpg", "in photo libraries"),
    ):  # fmt: skip
        yield name, jpeg(100), SKIPPED + reason
    for name in ("P.photoslibrary/originals/0/a.heic", "old.aplibrary/Masters/2011/a.jpg", "Trash/a.jpg", "2024/a.jpg"):
        yield name, jpeg(len(name)), INDEXED
    yield ".DS_Store", b"\0\0\0\x01Bud1", SILENT
    yield ".hidden.json", b"{}", SILENT
    yield "mine/.imtextignore", b"# no drafts\r\n*.png\r\n!keep.png\r\n/private/\r\n", SILENT
    yield "mine/a.png", jpeg(110), SKIPPED + "by .imtextignore"
    yield "mine/below/b.png", jpeg(111), SKIPPED + "by .imtextignore"
    yield "mine/private/c.jpg", jpeg(112), SKIPPED + "by .imtextignore"
    yield "mine/keep.png", jpeg(113), INDEXED
    yield "mine/below/private/d.jpg", jpeg(114), INDEXED
    yield "bad/.imtextignore", b"!\n", REFUSED + ".imtextignore"  # its folder is named, and nothing in it is read
    yield "excluded/a.jpg", jpeg(115), SKIPPED + "by --exclude"


def deep(dtype: npt.DTypeLike, white: float) -> Image.Image:
    """A greyscale ramp from 0 to a number."""
    return Image.fromarray(np.linspace(0, white, 40 * 30).reshape(30, 40).astype(dtype))


def holes() -> npt.NDArray[np.float32]:
    """A ramp from 0 to 1 with pixels that are no numbers, or infinite."""
    values = np.array(deep(np.float32, 1))
    values[0, :3] = np.nan, np.inf, -np.inf
    return values


def locked(path: Path) -> None:
    """A picture that nobody but an administrator may read."""
    path.write_bytes(jpeg(91))
    path.chmod(0)


def huge_png() -> bytes:
    """The header of a picture of ten thousand megapixels."""
    png = encoded(drawn(), "PNG")
    header = b"IHDR" + struct.pack(">II", 100_000, 100_000) + png[24:29]
    return png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]


if __name__ == "__main__":
    for file, becomes in pack(Path(sys.argv[1])).items():
        print(f"{becomes or 'no word':<40} {file!r}")
