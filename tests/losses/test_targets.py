"""The targets of a loss."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from tests.losses.pairs import own


def test_they_are_never_changed() -> None:
    targets = own(2)
    assert targets.teacher is None
    with pytest.raises(FrozenInstanceError):
        targets.positive = own(3).positive  # type: ignore[misc]
