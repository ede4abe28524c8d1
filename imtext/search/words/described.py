"""What people wrote into a picture's file: a title, a caption and keywords, in EXIF, IPTC and XMP."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from defusedxml import ElementTree
from PIL import ExifTags, ImageFile, IptcImagePlugin

MAX_XMP = 2_000_000  # bytes; an editor's history of a picture takes some 100,000
MAX_TITLE, MAX_CAPTION, MAX_KEYWORDS = 300, 4_000, 4_000  # characters

# What cameras and programs write where a caption belongs.
NO_CAPTION = re.compile(r"([\w ]*digital camera|sony dsc|dcim\b.*|default|untitled)\s*", re.IGNORECASE)

DC, RDF = "{http://purl.org/dc/elements/1.1/}", "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
TITLES = (f"{DC}title", "{http://ns.adobe.com/photoshop/1.0/}Headline")
CAPTIONS = (f"{DC}description",)
KEYWORDS = (
    f"{DC}subject",
    "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject",  # places|Lisbon
    "{http://www.digikam.org/ns/1.0/}TagsList",  # places/Lisbon
    "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}PersonInImage",
    "{http://www.metadataworkinggroup.com/schemas/regions/}Name",  # of a face
)


class Described(NamedTuple):
    """What people wrote into the file of a picture; what nobody wrote is empty.

    Attributes:
        title: a short name.
        caption: sentences.
        keywords: with commas between them.
    """

    title: str = ""
    caption: str = ""
    keywords: str = ""


def join(descriptions: Iterable[Described]) -> Described:
    """What several parts of one file say, each text once."""
    titles, captions, keywords = zip(*descriptions, strict=True)
    return _described(titles, captions, [word for line in keywords for word in line.split(", ")])


def from_exif(exif: Mapping[int, Any]) -> Described:
    """The description, and what Windows writes into the properties of a file."""
    tags = ExifTags.Base
    caption = _decode(exif.get(tags.ImageDescription, ""))
    return _described(
        [_decode(exif.get(tags.XPTitle, ""), "utf-16-le")],
        [
            "" if NO_CAPTION.fullmatch(caption) else caption,
            _decode(exif.get(tags.XPSubject, ""), "utf-16-le"),
            _decode(exif.get(tags.XPComment, ""), "utf-16-le"),
        ],
        _decode(exif.get(tags.XPKeywords, ""), "utf-16-le").split(";"),
    )


def from_iptc(image: ImageFile.ImageFile) -> Described:
    """Object name, headline, caption and keywords of the Information Interchange Model, version 4.2."""
    record = IptcImagePlugin.getiptcinfo(image) or {}

    def texts(*numbers: int) -> list[str]:
        values = [record.get((2, number), []) for number in numbers]
        lists = [value if isinstance(value, list) else [value] for value in values]
        return [_decode(value) for values in lists for value in values]

    return _described(texts(5, 105), texts(120), texts(25))


def from_xmp(packet: bytes) -> Described:
    """Title, headline, description, keywords and names of people of an XMP packet (ISO 16684-1).

    Raises:
        ParseError: it is no XML.
        DefusedXmlException: it declares a document type or entities, which XMP does not need.
    """
    if len(packet) > MAX_XMP:
        return Described()
    found: defaultdict[str, list[str]] = defaultdict(list)
    for element in ElementTree.fromstring(packet.strip(b"\0 \n"), forbid_dtd=True).iter():
        for name, text in element.attrib.items():
            found[name].append(text)
        items = [item.text or "" for item in element.iter(f"{RDF}li")] if element.tag in _LISTS else []
        found[element.tag] += items or [element.text or ""]
    return _described(*([text for name in names for text in found[name]] for names in (TITLES, CAPTIONS, KEYWORDS)))


_LISTS = frozenset((*TITLES, *CAPTIONS, *KEYWORDS))


def _described(titles: Iterable[str], captions: Iterable[str], keywords: Iterable[str]) -> Described:
    return Described(
        _together(titles, " ", MAX_TITLE),
        _together(captions, " ", MAX_CAPTION),
        _together(keywords, ", ", MAX_KEYWORDS),
    )


def _together(texts: Iterable[str], between: str, limit: int) -> str:
    """Different texts on one printable line."""
    printable = ("".join(char if char.isprintable() else " " for char in text[:limit]) for text in texts)
    lines = dict.fromkeys(" ".join(text.split()) for text in printable)
    return between.join(filter(None, lines))[:limit].encode("utf-8", "replace").decode()


def _decode(value: Any, encoding: str = "utf-8") -> str:
    """A text of EXIF or IPTC; programs write UTF-8 where the standard has ASCII, and old ones Latin-1."""
    if not isinstance(value, bytes):
        return value if isinstance(value, str) else ""
    try:
        text = value.decode(encoding)
    except UnicodeDecodeError:
        text = value.decode("utf-16-le" if encoding != "utf-8" else "latin-1", "replace")
    return text.partition("\0")[0]
