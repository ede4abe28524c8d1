"""Reading captions tables. Mistakes in their content are in `tests/data/test_table.py`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imtext.data.reading.tables import CaptionsTable, read_table
from imtext.errors import DataError
from tests.damage import damaged, fuzzed

ROWS = [{"image": "0.jpg", "caption": "a dog, running"}, {"image": "1.jpg", "caption": "a cat"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'image,caption\n0.jpg,"a dog, running"\n1.jpg,a cat\n'),
        ("a.txt", '\ufeffimage,caption\r\n0.jpg,"a dog, running"\r\n1.jpg,a cat'),
        ("a.tsv", "image\tcaption\n0.jpg\ta dog, running\n1.jpg\ta cat"),
        ("a.CSV", 'image,caption\r0.jpg,"a dog, running"\r1.jpg,a cat\r'),
        ("a.jsonl", "\n\n".join(map(json.dumps, ROWS))),
        ("a.jsonl", "\r".join(map(json.dumps, ROWS))),
        ("a.json", json.dumps(ROWS)),
    ],
)
def test_formats(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_bytes(content.encode())
    assert read_table(tmp_path / name) == CaptionsTable(ROWS)


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("a.csv", "image;caption\n0.jpg;a dog, running\n1.jpg;a cat", ", separated by semicolons"),
        ("a.csv", '\n"image";"caption"\n"0.jpg";"a dog, running"\n\n1.jpg;a cat\n', ", separated by semicolons"),
        ("a.csv", "image\tcaption\r0.jpg\ta dog, running\r1.jpg\ta cat\r", ", separated by tabs"),
        ("a.txt", "image | caption\n0.jpg|a dog, running\n1.jpg|a cat", ", separated by vertical bars"),
        ("a.tsv", 'image,caption\n0.jpg,"a dog, running"\n1.jpg,a cat', ", separated by commas"),
    ],
)
def test_other_separators(tmp_path: Path, name: str, content: str, note: str) -> None:
    (tmp_path / name).write_bytes(content.encode())
    assert read_table(tmp_path / name) == CaptionsTable(ROWS, note)


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("image,caption; in English\na,b", ["image", "caption; in English"]),
        ("image;caption, in English\na;b", ["image", "caption, in English"]),
        ("photo;words, and more\na,b", ["photo;words", "and more"]),  # no known column, and as many: as usual
        ("image\na", ["image"]),
        ("image,caption", []),
        ("", []),
    ],
)
def test_the_separator_is_that_of_the_known_columns(tmp_path: Path, content: str, columns: list[str]) -> None:
    (tmp_path / "a.csv").write_text(content)
    assert read_table(tmp_path / "a.csv").columns == columns


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", "", r"a\.xlsx: expected a \.csv"),
        ("a.json", '{"image": "0.jpg"}', "list of rows"),
        ("a.json", "[1, 2]", "list of rows"),
        ("a.json", "[", "cannot be read"),
        ("a.csv", 'image,caption\n0.jpg,"a "dog"', "cannot be read"),
    ],
)
def test_mistakes(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / name)


CSV = b'image,caption\n0.jpg,"a dog, running"\n1.jpg,a cat\n'


@fuzzed(300)
@given(st.sampled_from([".csv", ".tsv", ".json", ".jsonl"]), damaged(CSV) | damaged(json.dumps(ROWS).encode()))
@example(".json", b"[" * 100_000)
@example(".jsonl", b"[" * 100_000)
@example(".json", b'[{"image": ' + b"9" * 5_000 + b"}]")
@example(".jsonl", b'{"image": ' + b"9" * 5_000 + b"}")
def test_any_content_is_a_table_or_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"captions{suffix}"
    path.write_bytes(content)
    try:
        table = read_table(path)
    except DataError:
        return
    assert all(set(table.columns) <= set(row) for row in table.rows)
