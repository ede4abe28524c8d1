"""The columns that hold captions, and the names of the splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imtext.data.captions import Split
from imtext.errors import DataError

# Common names of the three splits.
SPLIT_NAMES: dict[str, Split] = {
    "train": "train", "training": "train", "restval": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
CAPTION_NAMES = ("caption", "captions", "sentence", "sentences", "text")


def require_column(column: str, columns: Sequence[str], source: str, setting: str) -> None:
    """Refuse a column that does not exist.

    Raises:
        DataError: the column does not exist; the message names the columns and the setting that chooses one.
    """
    if column not in columns:
        raise DataError(
            f"{source} has no column {column!r}; its columns are {', '.join(columns)}. Choose one with {setting}=…"
        )


def caption_columns(columns: Sequence[str], wanted: Sequence[str] | None, source: str) -> list[str]:
    """The columns that hold captions: the `wanted` ones, or all with a typical name.

    Raises:
        DataError: there are no such columns; the message names the existing columns.
    """
    found = list(wanted or [name for name in columns if name in CAPTION_NAMES or name.startswith("caption_")])
    missing = sorted(set(found) - set(columns))
    if not found or missing:
        problem = f"no column {', '.join(missing)}" if missing else "no column with a typical name for captions"
        raise DataError(
            f"{source} has {problem}; its columns are {', '.join(columns)}. Choose with data.caption_columns=[…]."
        )
    return found


def captions_of(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """All captions in a row; a column holds one caption or a list of them.

    If there are several columns, empty ones are ignored. A single column that is empty or holds an empty list gives one
    empty caption, which is reported later.
    """
    captions: list[str] = []
    for column in columns:
        value = row.get(column)
        captions += [str(caption) for caption in value] or [""] if isinstance(value, list) else [str(value or "")]
    return captions if len(columns) == 1 else [caption for caption in captions if caption.strip()]
