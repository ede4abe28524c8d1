"""What layouts have in common."""

from __future__ import annotations

from typing import Any

import pytest

from imtext.errors import BundleError
from imtext.search.pretrained.layout import pad_token, read_json, require, side


@pytest.mark.parametrize(
    "size", [224, [224, 224], [224], {"shortest_edge": 224}, {"height": 224, "width": 224}, {"height": 224.0}]
)
def test_side(size: Any) -> None:
    assert side(size) == 224


def test_not_square() -> None:
    with pytest.raises(ValueError, match="not square"):
        side({"height": 224, "width": 336})


def test_pad_token() -> None:
    assert (
        pad_token({"pad_token": "<pad>"}) == pad_token({"pad_token": {"content": "<pad>", "lstrip": False}}) == "<pad>"
    )


def test_read_json() -> None:
    assert read_json(b'{"a": 1}') == {"a": 1}
    for wrong in (b"[1]", b"no"):
        with pytest.raises(ValueError):  # noqa: PT011  the message is json's
            read_json(wrong)


def test_require() -> None:
    require(["a", "b"], {"the first": "a"}, "my layout")
    with pytest.raises(BundleError, match=r"it has the layout of my layout, but no c \(the third\), d \(the fourth\)"):
        require(["a"], {"the first": "a", "the third": "c", "the fourth": "d"}, "my layout")
