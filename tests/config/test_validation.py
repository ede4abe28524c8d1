"""Messages about settings that are not accepted."""

from __future__ import annotations

from typing import Any

import pytest

from imtext.config.signatures import settings_of
from imtext.config.validation import problems, value_at


class Tower:
    def __init__(self, size: int, mode: int | None = None, part: Any = None, *, vocabulary: str) -> None: ...


def messages(**settings: Any) -> list[str]:
    node = {"_target_": "Tower", **settings}
    return list(
        problems(settings_of(Tower), node, "model.tower", {"data": {"vocab_size": 5}, "model": {"tower": node}})
    )


def test_supplied_parameters_are_not_settings() -> None:
    assert messages(size=1, vocabulary="x") == ["model.tower.vocabulary follows from the data; it is not a setting"]


def test_an_unknown_name_is_suggested_from_the_target_or_from_elsewhere() -> None:
    takes = "There is no setting called model.tower.{}: Tower takes mode, part, size."
    assert messages(size=1, sise=2) == [takes.format("sise") + " Did you mean size?"]
    assert messages(size=1, vocab_size=2) == [takes.format("vocab_size") + " Did you mean data.vocab_size?"]


def test_a_missing_setting_is_asked_for() -> None:
    assert messages() == ["model.tower.size is needed: give model.tower.size=…"]


@pytest.mark.parametrize("value", ["${seed}", "???", {"_target_": "x"}])
def test_missing_values_and_interpolations_are_not_checked(value: Any) -> None:
    assert messages(size=value) == []


def test_positional_arguments_are_not_missing() -> None:
    assert messages(_args_=[1]) == []


def test_values_are_shown_as_in_yaml() -> None:
    assert messages(size=None) == ["model.tower.size=null: input should be a valid integer"]
    assert messages(size=[True]) == ["model.tower.size=[true]: input should be a valid integer"]


def test_value_at_a_path() -> None:
    assert value_at({"a": {"b": 1}}, ["a", "b"]) == 1
    assert value_at({"a": {"b": 1}}, ["a", "c", "d"]) is None
