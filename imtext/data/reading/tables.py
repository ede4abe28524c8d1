"""Captions tables: .csv, .tsv, .txt, .jsonl and .json files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from imtext.data.captions import HINT
from imtext.errors import DataError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def read_table(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a table; all have at least the columns of the first.

    Raises:
        DataError: there is no such file, its type is unknown, or a line (named by its number) cannot be read.
    """
    if not path.is_file():
        raise DataError(f"There is no captions file at {path.absolute()}. {HINT}")
    rows: Any
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix in (".csv", ".tsv", ".txt"):
            rows = _read_csv(path, text)
        elif path.suffix == ".jsonl":
            rows = _read_json_lines(path, text)
        elif path.suffix == ".json":
            rows = json.loads(text)
        else:
            raise DataError(f"{path.name}: expected a .csv, .tsv, .txt, .jsonl or .json file. {HINT}")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line} is not UTF-8: save the file as UTF-8 (in Excel: CSV UTF-8)") from error
    except (csv.Error, json.JSONDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} must hold a list of rows with named columns")
    for number, row in enumerate(rows, 1):
        if missing := rows[0].keys() - row.keys():
            raise DataError(f"{path}, row {number} has no {', '.join(sorted(missing))}, unlike row 1")
    return rows


def _read_csv(path: Path, text: str) -> list[dict[str, Any]]:
    separator = "\t" if path.suffix == ".tsv" else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    names = reader.fieldnames or [""]
    if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
        raise DataError(f"{path} has a single column, {names[0]!r}: separate columns with commas")
    if Path(names[0]).suffix.lower() in PICTURE_SUFFIXES:
        raise DataError(f"{path}: the first line must name the columns, such as image,caption")
    rows = []
    for row in reader:
        # DictReader stores surplus values under None and fills missing ones with None.
        if None in row or None in row.values():
            raise DataError(
                f"{path}, line {reader.line_num} has {'more' if None in row else 'fewer'} columns than the header, "
                f"which has {len(names)}. Put captions that contain commas into quotes."
            )
        rows.append(dict(row))
    return rows


def _read_json_lines(path: Path, text: str) -> list[Any]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise DataError(f"{path}, line {number} is not JSON: {error.msg}") from error
    return rows
