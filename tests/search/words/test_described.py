"""Titles, captions and keywords of EXIF, IPTC and XMP."""

from __future__ import annotations

import struct

import pytest
from defusedxml import DefusedXmlException
from PIL import ExifTags, Image

from imtext.search.facts import read_facts
from imtext.search.words.described import MAX_CAPTION, MAX_XMP, Described, from_exif, from_xmp, join
from tests.search.photos import iptc, xmp

Base = ExifTags.Base


def test_xmp() -> None:
    packet = xmp("Sunset over Porto", "Seen from\nthe bridge", ["river", "places/Porto"])
    assert from_xmp(packet) == Described("Sunset over Porto", "Seen from the bridge", "river, places/Porto")
    assert from_xmp(xmp()) == Described()


def test_names_of_faces_and_attributes() -> None:
    people = (
        '<rdf:Description xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" mwg-rs:Name="Anna" '
        'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:Headline="At the fair"/>'
    )
    assert from_xmp(xmp(keywords=["fair"], more=people)) == Described("At the fair", "", "fair, Anna")


def test_entities_are_never_resolved() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + xmp().replace(b"</x:xmpmeta>", b"&b;</x:xmpmeta>")
    file = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + xmp("TITLE").replace(b"TITLE", b"&a;")
    for packet in (bomb, file):
        with pytest.raises(DefusedXmlException):
            from_xmp(packet)


def test_sizes_are_bounded() -> None:
    assert from_xmp(xmp("a title") + b" " * MAX_XMP) == Described()
    assert len(from_xmp(xmp(caption="word " * 10_000)).caption) <= MAX_CAPTION


def test_exif() -> None:
    exif = Image.Exif()
    exif[Base.ImageDescription] = "A tram in Lisbon"
    exif[Base.XPTitle] = "Tram 28\0".encode("utf-16-le")
    exif[Base.XPKeywords] = "tram; yellow".encode("utf-16-le")
    assert from_exif(exif) == Described("Tram 28", "A tram in Lisbon", "tram, yellow")


@pytest.mark.parametrize("text", ["OLYMPUS DIGITAL CAMERA         ", "SONY DSC", "DCIM\\100MEDIA\\DJI_1.JPG", "\0\0"])
def test_what_cameras_write_is_no_caption(text: str) -> None:
    assert from_exif({Base.ImageDescription: text}) == Described()
    assert from_exif({Base.ImageDescription: "A man with a digital camera!"}).caption


def test_of_a_file(tmp_path: object) -> None:
    """Every source in one JPEG file; what two of them say counts once."""
    picture = Image.new("RGB", (8, 8))
    exif = Image.Exif()
    exif[Base.ImageDescription] = "A tram in Lisbon"
    path = f"{tmp_path}/a.jpg"
    picture.save(path, exif=exif, xmp=xmp(caption="A tram in Lisbon", keywords=["tram", "Anna"]))
    content = open(path, "rb").read()  # noqa: PTH123, SIM115
    content = content[:2] + iptc("Straße".encode(), b"caf\xe9", [b"tram", b"yellow"]) + content[2:]
    facts = read_facts(content)
    assert (facts.title, facts.caption, facts.keywords) == ("Straße", "A tram in Lisbon café", "tram, Anna, yellow")


def test_broken_parts_do_not_hide_others(tmp_path: object) -> None:
    path = f"{tmp_path}/a.jpg"
    exif = Image.Exif()
    exif[Base.ImageDescription] = "A tram"
    Image.new("RGB", (8, 8)).save(path, exif=exif, xmp=b"<no xml")
    content = open(path, "rb").read()  # noqa: PTH123, SIM115
    broken = b"\xff\xed" + struct.pack(">H", 2 + 14 + 9) + b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0"
    assert read_facts(content[:2] + broken + content[2:]).caption == "A tram"


def test_join() -> None:
    assert join([Described("a", "", "x, y"), Described("a", "b", "y")]) == Described("a", "b", "x, y")
