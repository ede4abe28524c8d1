"""Captions tables: .csv, .tsv, .txt, .jsonl and .json files."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imtext.data.captions import HINT
from imtext.data.reading.columns import CAPTION_NAMES
from imtext.data.reading.decoding import decode
from imtext.data.reading.pictures import PICTURE_SUFFIXES
from imtext.errors import DataError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
SPREADSHEETS = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class CaptionsTable:
    """A table that has been read.

    Attributes:
        rows: all have at least the columns of the first.
        note: `, read as cp1252, separated by semicolons`, for a log line; empty for UTF-8 and the usual separator.
    """

    rows: list[dict[str, Any]]
    note: str = ""

    @property
    def columns(self) -> list[str]:
        """Names of the columns; none without rows."""
        return list(self.rows[0]) if self.rows else []


def read_table(path: Path, known: Collection[str] = ("image", *CAPTION_NAMES)) -> CaptionsTable:
    """Read a table.

    Args:
        path: of the file; its ending decides the format.
        known: columns that it probably has. The separator is the one that gives most of them.

    Raises:
        DataError: there is no such file, its type is unknown, or a line (named by its number) cannot be read.
    """
    if not path.is_file():
        raise DataError(f"There is no captions file at {path.absolute()}. {HINT}")
    suffix = path.suffix.lower()
    if suffix not in (*SPREADSHEETS, ".jsonl", ".json"):
        raise DataError(f"{path.name}: expected a .csv, .tsv, .txt, .jsonl or .json file. {HINT}")
    text = decode(path, spreadsheet=suffix in SPREADSHEETS)
    notes = [] if text.encoding == "UTF-8" else [f", read as {text.encoding}"]
    rows: Any
    try:
        if suffix == ".jsonl":
            rows = _read_json_lines(path, text.content)
        elif suffix == ".json":
            rows = json.loads(text.content)
        else:
            usual = "\t" if suffix == ".tsv" else ","
            separator = _separator(text.content, known, usual)
            rows = _read_csv(path, text.content, separator)
            notes += [f", separated by {SEPARATORS[separator]}"] if separator != usual else []
    except (csv.Error, ValueError, RecursionError) as error:  # JSON with numbers or nesting beyond Python's limits
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} must hold a list of rows with named columns")
    for number, row in enumerate(rows, 1):
        if missing := rows[0].keys() - row.keys():
            raise DataError(f"{path}, row {number} has no {', '.join(sorted(missing))}, unlike row 1")
    return CaptionsTable(rows, "".join(notes))


def _separator(text: str, known: Collection[str], usual: str) -> str:
    """The separator that finds most of the known columns in the first line; of equal ones, that of most columns.

    `csv.Sniffer` counts characters in all lines, and captions are full of commas.
    """

    def found(separator: str) -> tuple[int, int, bool]:
        try:
            names = _header(text, separator)
        except csv.Error:  # a quoted name that ends at another separator
            return 0, 0, False
        return len({*names} & {*known}), len(names), separator == usual

    return max(SEPARATORS, key=found)


def _header(text: str, separator: str) -> list[str]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    return [name.strip() for name in next(filter(None, reader), [""])]


def _read_csv(path: Path, text: str, separator: str) -> list[dict[str, Any]]:
    names = _header(text, separator)
    if Path(names[0]).suffix.lower() in PICTURE_SUFFIXES:
        raise DataError(f"{path}: the first line must name the columns, such as image,caption")
    reader = csv.DictReader(io.StringIO(text, newline=""), names, delimiter=separator, strict=True)
    next(reader, None)
    rows = []
    for row in reader:
        # DictReader stores surplus values under None and fills missing ones with None.
        if None in row or None in row.values():
            raise DataError(
                f"{path}, line {reader.line_num} has {'more' if None in row else 'fewer'} columns than the header, "
                f"which has {len(names)}. Columns are separated by {SEPARATORS[separator]}; put captions that contain "
                "some into quotes."
            )
        rows.append(dict(row))
    return rows


def _read_json_lines(path: Path, text: str) -> list[Any]:
    rows = []
    for number, line in enumerate(re.split(r"\r\n?|\n", text), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number} is not JSON: {getattr(error, 'msg', error)}") from error
    return rows
