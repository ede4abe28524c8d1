"""The text of a table, in the encodings that spreadsheets write."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from imtext.errors import DataError

# Files that begin with one of these say what they are; that of UTF-32 begins with that of UTF-16.
MARKS = {
    codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip

# cp1252 gives nearly all bytes a meaning, so that text in any other encoding can be read as if it was cp1252. It is
# believed only if it looks like a Western European language.
SMALL, CAPITAL = "ßàáâãäåæçèéêëìíîïñòóôõöøùúûüÿœ", "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜŒ"
LETTER = f"[A-Za-z{SMALL}{CAPITAL}]"
BETWEEN = "’·–—\xad\xa0"  # may stand between two letters
ELSEWHERE = "…‘“”•™€¡¢£¥§©ª«¬®°±²³´¹º»¼½¾¿×"
OPENING = "‚„"
DOUBTFUL = re.compile(
    rf"[^\t\n\r -~{SMALL}{CAPITAL}{BETWEEN}{ELSEWHERE}{OPENING}]"  # letters of Iceland, Turkey, Poland; control codes
    rf"|[{SMALL}{CAPITAL}]{{4}}"  # other alphabets
    rf"|[a-z{SMALL}][{CAPITAL}]"  # quotation marks of old Macs
    rf"|{LETTER}[{ELSEWHERE}]{LETTER}|{LETTER}[{OPENING}]"  # letters of DOS
)
MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")  # UTF-8, which is damaged elsewhere


@dataclass(frozen=True)
class Text:
    """The text of a file, and how it was encoded: `UTF-8`, `UTF-16`, `UTF-32` or `cp1252`."""

    content: str
    encoding: str


def decode(path: Path, spreadsheet: bool) -> Text:
    """Read a text file.

    UTF-16 and UTF-32 need a byte-order mark.

    Args:
        path: an existing file.
        spreadsheet: also accept cp1252, which Excel writes in Western Europe and America, if the text looks like it.

    Raises:
        DataError: it has another encoding; the message names the line.
    """
    data = path.read_bytes()
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        content = data.decode(encoding).removeprefix("\ufeff")
        if "\0" not in content:
            return Text(content, encoding.upper())
        before = data[: data.index(b"\0")]
    except UnicodeDecodeError as error:
        if spreadsheet and encoding == "utf-8" and (western := _western(data)) is not None:
            return Text(western, "cp1252")
        before = data[: error.start]
    line = len(re.findall(rb"\r\n?|\n", before)) + 1
    raise DataError(f"{path}, line {line} is not UTF-8: save the file as UTF-8 (in Excel: CSV UTF-8)")


def _western(data: bytes) -> str | None:
    """The text if it is in cp1252; None if there is a doubt.

    Files with line ends of old Macs are in Mac Roman. A few wrong letters remain possible: Hungarian, for example, has
    an `ő` where cp1252 has an `õ`.
    """
    if MULTIBYTE.search(data) or b"\n" not in data:
        return None
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    return None if DOUBTFUL.search(text) else text
