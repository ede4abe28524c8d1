from __future__ import annotations

import inspect

import pytest

from imtext import errors

FAMILY = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_is_one_of_the_family(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.ImtextError)
    assert kind.__doc__
