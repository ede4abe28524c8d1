"""Types of files by their first bytes; `tests/search/index/test_shoebox.py` has real files of most types."""

from __future__ import annotations

import struct

import pytest

from imtext.preprocess.formats import ENDING, FORMATS, HEAD, install_hint, is_readable, sniff, why_unreadable
from tests.tiffs import tiff


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"FUJIFILMCCD-RAW 0201", "RAF"),
        (b"IIRO\x08\0\0\0", "ORF"),
        (b"IIU\0\x18\0\0\0", "RW2"),
        (b"FOVb\1\0\2\0", "X3F"),
        (b"II*\0\x10\0\0\0CR\2\0", "CR2"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "CR3"),
        (b"\0\0\0\x18ftypheix", "HEIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "HEIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypavis", "AVIF"),
        (b"\0\0\0\x18ftypM4V ", "MP4"),
        (b"\0\0\0\x18ftyp3g2a", "3GP"),
        (b"\0\0\0\x18ftypM4A ", ""),
        (b"\0\0\0\x08moov", "MOV"),
        (b"the moovie", ""),
        (b"BM and other words", ""),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "BMP"),
        (b"RIFF\0\0\0\0WAVE", ""),
        (b"\xef\xbb\xbf <!-- by hand --> <svg width='1'>", "SVG"),
        (b"<html><svg>", ""),
        (b"G" + (bytes(187) + b"G") * 3, "MTS"),
        (b"", ""),
    ],
)
def test_first_bytes(head: bytes, kind: str) -> None:
    assert sniff(head) == kind


@pytest.mark.parametrize(
    ("maker", "tags", "kind"),
    [
        (b"NIKON CORPORATION\0", {254: 1, 330: 99}, "NEF"),
        (b"SONY\0", {254: 1, 330: 99}, "ARW"),
        (b"PENTAX Corporation\0", {259: 65535}, "PEF"),
        (b"NIKON CORPORATION\0", {254: 0}, "TIFF"),  # of a program for photos
        (b"Scanner Inc.\0", {254: 1, 330: 99}, "TIFF"),
        (b"Leica\0", {50706: bytes([1, 4, 0, 0])}, "DNG"),
    ],
)
def test_raw_files_that_are_tiff_inside(
    maker: bytes, tags: dict[int, int | tuple[int, ...] | bytes], kind: str
) -> None:
    assert sniff(tiff([({271: maker, 273: b"", **tags}, None)])) == kind


def test_tags_beyond_the_first_bytes_are_not_needed() -> None:
    assert sniff(b"MM\0*" + struct.pack(">I", HEAD)) == "TIFF"
    assert sniff(b"II*\0\x08\0\0\0\xff\xff") == "TIFF"


def test_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(map(is_readable, FORMATS))
    assert is_readable("CR2")
    monkeypatch.setattr("imtext.preprocess.formats._is_installed", lambda module: False)
    assert not any(map(is_readable, ("CR2", "JXL", "SVG", "MOV", "")))
    assert (install_hint("NEF"), install_hint("JXL")) == ('pip install "imtext[raw]"', 'pip install "imtext[jxl]"')
    assert install_hint("MOV") == ""
    assert why_unreadable("MOV").startswith("MOV, not a picture of these formats: JPEG, PNG")


def test_endings() -> None:
    for name in ("a.JPG", "a.b.heic", "a.CR3", "a.dng", "a.jxl", "a.tiff", "a.3fr"):
        assert ENDING.search(name), name
    for name in ("a.txt", "jpg", "a.jpg.txt", "a.mov", "a.svg"):
        assert not ENDING.search(name), name
