"""The batch and its name."""

from __future__ import annotations

from typing import NotRequired, get_origin, get_type_hints

from imtext.data.batch import Batch, BatchKey


def test_features_and_teachers_are_optional() -> None:
    hints = get_type_hints(Batch, include_extras=True)
    optional = {name for name, hint in hints.items() if get_origin(hint) is NotRequired}
    assert optional == {"text_features", "teacher_image", "teacher_text"}


def test_keys_are_values() -> None:
    assert BatchKey(1, (2, 3)) == BatchKey(1, (2, 3)) != BatchKey(2, (2, 3))
