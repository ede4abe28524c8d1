"""Which columns hold captions."""

from __future__ import annotations

from typing import Any

import pytest

from imtext.data.reading.columns import caption_columns, captions_of, require_column
from imtext.errors import DataError


def test_typical_names_and_chosen_columns() -> None:
    columns = ["image", "caption_1", "caption_0", "text", "license"]
    assert caption_columns(columns, None, "a.csv") == ["caption_1", "caption_0", "text"]
    assert caption_columns(columns, ["license"], "a.csv") == ["license"]


@pytest.mark.parametrize(("wanted", "problem"), [(None, "typical name"), (["title"], "no column title")])
def test_missing_columns(wanted: list[str] | None, problem: str) -> None:
    with pytest.raises(DataError, match=rf"a\.csv has .*{problem}.*image, license.*data\.caption_columns"):
        caption_columns(["image", "license"], wanted, "a.csv")
    with pytest.raises(DataError, match=r"no column 'photo'.*data\.image_column="):
        require_column("photo", ["image", "license"], "a.csv", "data.image_column")


@pytest.mark.parametrize(
    ("row", "columns", "expected"),
    [
        ({"a": "one"}, ["a"], ["one"]),
        ({"a": ["one", "two"]}, ["a"], ["one", "two"]),
        ({"a": []}, ["a"], [""]),
        ({"a": None}, ["a"], [""]),
        ({"a": "one", "b": ""}, ["a", "b"], ["one"]),
        ({"a": "one", "b": ["two", " "]}, ["a", "b"], ["one", "two"]),
    ],
)
def test_captions_of_a_row(row: dict[str, Any], columns: list[str], expected: list[str]) -> None:
    assert captions_of(row, columns) == expected
