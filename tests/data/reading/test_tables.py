"""Reading captions tables. Mistakes in their content are in `tests/data/test_table.py`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imtext.data.reading.tables import read_table
from imtext.errors import DataError

ROWS = [{"image": "0.jpg", "caption": "a dog, running"}, {"image": "1.jpg", "caption": "a cat"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'image,caption\n0.jpg,"a dog, running"\n1.jpg,a cat\n'),
        ("a.txt", '\ufeffimage,caption\r\n0.jpg,"a dog, running"\r\n1.jpg,a cat'),
        ("a.tsv", "image\tcaption\n0.jpg\ta dog, running\n1.jpg\ta cat"),
        ("a.jsonl", "\n\n".join(map(json.dumps, ROWS))),
        ("a.json", json.dumps(ROWS)),
    ],
)
def test_formats(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_bytes(content.encode())
    assert read_table(tmp_path / name) == ROWS


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
