"""Facts in the headers of pictures, of cameras as they are: incomplete, padded, wrong."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from imtext.search.facts import Facts, read_facts
from tests.damage import damaged, fuzzed
from tests.search.photos import photo, xmp

Base, Gps = ExifTags.Base, ExifTags.GPS


def test_a_photo_of_a_phone(tmp_path: Path) -> None:
    path = photo(
        tmp_path / "a.jpg", (40, 30), "2024:05:12 14:03:11", "+01:00", ("Apple", "iPhone 12\0\0"), (38.7223, -9.1393)
    )
    facts = read_facts(path)
    assert facts == Facts(40, 30, "2024-05-12T14:03:11+01:00", "Apple iPhone 12", 38.7223, -9.1393)
    assert read_facts(path.read_bytes()) == facts


@pytest.mark.parametrize("kind", ["png", "webp", "tiff", "gif", "bmp"])
def test_other_formats(tmp_path: Path, kind: str) -> None:
    path = photo(tmp_path / f"a.{kind}", (40, 30), "2024:05:12 14:03:11")
    taken = "" if kind in ("tiff", "gif", "bmp") else "2024-05-12T14:03:11"  # Pillow writes none into these
    assert read_facts(path) == Facts(40, 30, taken)


@pytest.mark.parametrize(("value", "size"), [(1, (40, 30)), (3, (40, 30)), (6, (30, 40)), (8, (30, 40))])
def test_the_size_is_that_of_the_upright_picture(tmp_path: Path, value: int, size: tuple[int, int]) -> None:
    facts = read_facts(photo(tmp_path / "a.jpg", (40, 30), exif={Base.Orientation: value}))
    assert (facts.width, facts.height) == size


@pytest.mark.parametrize(
    ("taken", "offset", "expected"),
    [
        ("2024:05:12 14:03", "", "2024-05-12T14:03:00"),
        ("2024-05-12T14:03:11", "Z", "2024-05-12T14:03:11+00:00"),
        ("2024:05:12 14:03:11", "   :  ", "2024-05-12T14:03:11"),
        ("0000:00:00 00:00:00", "+01:00", ""),
        ("    :  :     :  :  ", "", ""),
        ("2023:02:29 10:00:00", "", ""),
    ],
)
def test_dates(tmp_path: Path, taken: str, offset: str, expected: str) -> None:
    assert read_facts(photo(tmp_path / "a.jpg", taken=taken, offset=offset)).taken == expected


@pytest.mark.parametrize(
    ("make", "model", "expected"),
    [
        ("NIKON CORPORATION", "NIKON D750", "NIKON D750"),
        ("OLYMPUS IMAGING CORP.  ", "E-M10", "OLYMPUS E-M10"),
        ("Canon", "Canon EOS\n80D", "Canon EOS 80D"),
        ("SONY", "", "SONY"),
        ("", "scanner", "scanner"),
        (" \0junk", "", ""),
    ],
)
def test_cameras(tmp_path: Path, make: str, model: str, expected: str) -> None:
    assert read_facts(photo(tmp_path / "a.jpg", camera=(make, model))).camera == expected


@pytest.mark.parametrize(
    "gps",
    [
        {Gps.GPSLatitude: (IFDRational(0), IFDRational(0), IFDRational(0)), Gps.GPSLongitude: (IFDRational(0),) * 3},
        {Gps.GPSLatitude: (IFDRational(91),) * 3, Gps.GPSLongitude: (IFDRational(1),) * 3},
        {Gps.GPSLatitude: (IFDRational(1, 0),) * 3, Gps.GPSLongitude: (IFDRational(1),) * 3},
        {Gps.GPSLatitude: (IFDRational(1),) * 3},
        {Gps.GPSLatitudeRef: "N"},
    ],
)
def test_positions_that_are_none(tmp_path: Path, gps: dict[int, Any]) -> None:
    facts = read_facts(photo(tmp_path / "a.jpg", exif={ExifTags.IFD.GPSInfo: gps}))
    assert (facts.latitude, facts.longitude) == (None, None)


def test_broken_headers(tmp_path: Path) -> None:
    broken = photo(tmp_path / "a.jpg", (40, 30), "2024:05:12 14:03:11").read_bytes()
    start = broken.index(b"Exif\0\0") + 6
    assert read_facts(broken[: start + 8] + b"\xff" * 40 + broken[start + 48 :]) == Facts(40, 30)
    assert read_facts(b"a letter") == Facts()
    with pytest.raises(FileNotFoundError):
        read_facts(tmp_path / "gone.jpg")


@pytest.mark.parametrize("content", ['b"a letter"', 'b"\\0\\0\\0\\x18ftypheic" + bytes(99)'])
def test_before_any_picture_was_opened(content: str) -> None:
    """In a process of its own, where nothing else has taught Pillow a format."""
    program = f"from imtext.search.facts import *; assert read_facts({content}) == Facts()"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_png_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (40, 30)).save(content := io.BytesIO(), "PNG")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", pytest.fail)
    assert read_facts(content.getvalue()) == Facts(40, 30)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A picture of each format with all facts."""
    folder = tmp_path_factory.mktemp("photos")
    everything: dict[str, Any] = {
        "taken": "2024:05:12 14:03:11", "offset": "+01:00", "camera": ("Apple", "iPhone 12"), "place": (38.7, -9.1),
        "xmp": xmp("a title", "a caption", ["dog", "beach"]),
        "exif": {Base.Orientation: 6, Base.ImageDescription: "a dog", Base.XPKeywords: "a;b".encode("utf-16-le")},
    }  # fmt: skip
    kinds = ("jpg", "png", "webp", "tiff", "gif", "bmp")
    return {kind: photo(folder / f"a.{kind}", **everything).read_bytes() for kind in kinds}


@fuzzed(200)
@given(st.data())
def test_damaged_headers_leave_facts_empty(photos: dict[str, bytes], data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(photos)))
    facts = read_facts(data.draw(damaged(photos[kind])))
    assert min(facts.width, facts.height) >= 0
    assert facts.latitude is None or abs(facts.latitude) <= 90
    assert facts.camera.isprintable()
