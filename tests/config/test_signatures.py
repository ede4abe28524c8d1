"""Models of settings follow from constructors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import pytest
from pydantic import ValidationError
from torch import nn

from imtext.config.signatures import describe_args, names_of, parameters_of, settings_of


class Parent:
    """A tower.

    Args:
        size, depth: of the tower,
            in blocks.
        mode: how.

    Raises:
        ValueError: never.
    """

    def __init__(self, size: int, depth: int = 2, mode: Literal["a", "b"] = "a") -> None: ...


class Child(Parent):
    """A tower over words.

    Args:
        vocabulary: of the tokenizer.
        scales: of its layers.
    """

    def __init__(
        self, *, vocabulary: str, scales: tuple[float, float] = (1, 2), copy: bool = True, **common: Any
    ) -> None:
        super().__init__(**common)


class Open(nn.Module):
    def __init__(self, size: int = 1, **options: Any) -> None: ...


class Plain(nn.Module):
    pass


@dataclass
class Record:
    """A dataclass."""

    names: Sequence[str] = ()


def test_a_subclass_takes_the_parameters_of_its_parents() -> None:
    parameters, closed = parameters_of(Child)
    assert closed
    assert list(parameters) == ["vocabulary", "scales", "copy", "size", "depth", "mode"]
    assert parameters["depth"].description == "of the tower, in blocks."
    assert parameters["scales"].description == "of its layers."
    assert parameters["size"].required


def test_keyword_only_parameters_without_default_are_supplied() -> None:
    model = settings_of(Child)
    assert model.supplied == {"vocabulary"}
    assert names_of(model) == ["scales", "copy", "size", "depth", "mode"]


@pytest.mark.parametrize(
    "settings",
    [
        '{"size": "3"}',
        '{"size": 3.0}',
        '{"size": 3, "copy": 1}',
        '{"size": 3, "mode": "c"}',
        '{"size": 3, "scales": [1]}',
        '{"size": 3, "sise": 3}',
        "{}",
    ],
)
def test_models_are_strict(settings: str) -> None:
    with pytest.raises(ValidationError):
        settings_of(Child).model_validate_json(settings)


def test_a_list_may_become_a_tuple() -> None:
    settings_of(Child).model_validate_json('{"size": 3, "scales": [1, 0.5], "mode": "b", "copy": false}')


def test_an_object_that_takes_anything_is_open() -> None:
    settings_of(Open).model_validate_json('{"whatever": 3}')
    with pytest.raises(ValidationError):
        settings_of(Open).model_validate_json('{"size": "x"}')
    settings_of(Fraction).model_validate_json('{"numerator": 1}')  # has __new__ instead of __init__


def test_functions_and_dataclasses_have_models_too() -> None:
    def build(size: int, *, data: str) -> None: ...

    assert settings_of(build).supplied == {"data"}
    assert names_of(settings_of(build)) == ["size"]
    settings_of(Record).model_validate_json('{"names": ["a"]}')
    with pytest.raises(ValidationError):
        settings_of(Record).model_validate_json('{"names": "a"}')


def test_of_libraries_only_names_are_checked() -> None:
    model = settings_of(nn.Linear)
    model.model_validate_json('{"in_features": "x", "out_features": null}')
    with pytest.raises(ValidationError):
        model.model_validate_json('{"in_features": 1, "out_features": 1, "in_feature": 2}')
    assert not model.supplied


def test_descriptions_stop_at_the_end_of_the_section() -> None:
    assert describe_args("A.\n\nArgs:\n    a: one\n        two.\n\nReturns:\n    b: three") == {"a": "one two."}
    assert describe_args("A.") == {}
