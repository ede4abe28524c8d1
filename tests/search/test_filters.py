"""Filters as people write them."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imtext.errors import SearchError
from imtext.search.filters import HALF_WAY_ROUND_KM, MAX_SIDE, NO_FILTERS, Filters, folder_key, is_inside, parse_filters
from tests.damage import fuzzed

PIECES = ["2024", "-", "02", "31", "0", "x", "×", "km", "m", ".", ",", ";", " ", "/", "..", "٣", "9" * 30, "nan", "\0"]
TEXTS = st.text(max_size=20) | st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
NUMBERS = st.text("0123456789٣+-.,; °'", max_size=20)  # letters would be the name of a place
ANYTHING = dict.fromkeys(("after", "before", "folder", "camera", "min_size", "within"), TEXTS)


@fuzzed(300)
@given(st.fixed_dictionaries({}, optional={**ANYTHING, "near": NUMBERS}))
def test_any_texts_are_filters_or_refused(texts: dict[str, str]) -> None:
    try:
        filters = parse_filters(**texts)  # type: ignore[arg-type]
    except SearchError:
        return
    for moment in (filters.after, filters.before):
        assert not moment or datetime.fromisoformat(moment).isoformat() == moment
    assert 0 <= min(filters.min_width, filters.min_height) <= max(filters.min_width, filters.min_height) <= MAX_SIDE
    assert 0 < filters.within_km <= HALF_WAY_ROUND_KM
    assert filters.near is None or (abs(filters.near[0]) <= 90 and abs(filters.near[1]) <= 180)


@pytest.mark.parametrize(
    ("text", "first"),
    [("2024", "2024-01-01"), ("2024-05", "2024-05-01"), ("2024-5-9", "2024-05-09"), (" 2024-02-29 ", "2024-02-29")],
)
def test_partial_dates_are_whole_periods(text: str, first: str) -> None:
    assert parse_filters(after=text) == Filters(after=f"{first}T00:00:00")
    assert parse_filters(before=text) == Filters(before=f"{first}T00:00:00")


def test_everything_together() -> None:
    filters = parse_filters(
        "2024", "2025-06", "./2024//Holidays/", " iPhone  12 ", "portrait", "1000 × 800", "38.72, -9.14", "500m"
    )
    assert filters == Filters(
        "2024-01-01T00:00:00", "2025-06-01T00:00:00", "2024/Holidays", "iPhone 12", "portrait", 1000, 800,
        (38.72, -9.14), 0.5,
    )  # fmt: skip
    assert filters
    assert parse_filters(near="-33.9,151").within_km == 25
    lisbon = parse_filters(near="Lisbon", within="5km")
    assert lisbon.near == pytest.approx((38.72, -9.14), abs=0.1)
    assert (lisbon.within_km, lisbon.place) == (5, "Lisbon, Portugal")
    assert (parse_filters(), parse_filters("", "", "", "")) == (NO_FILTERS, NO_FILTERS)
    assert not NO_FILTERS


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"after": "2024-13"}, "after: '2024-13' has no month 13. Give a year, a month or a day: 2024, 2024-05 or"),
        ({"before": "2023-02-29"}, "before: '2023-02-29' has no day 29 in this month"),
        ({"after": "last week"}, "after: 'last week' is no date"),
        ({"after": "0000"}, "'0000' is no date"),
        ({"after": "2025", "before": "2024-12"}, "No picture is both after 2025 and before 2024-12"),
        ({"min_size": "1000"}, "min_size: '1000' is no size. Give width and height in pixels: 1000x800"),
        ({"min_size": "9999999x1"}, "is no size"),
        ({"near": "38"}, "near: '38' is no place. Give the name of a city, or latitude"),
        ({"near": "91,0"}, "near: '91,0' is no place"),
        ({"near": "0,0", "within": "far"}, "within: 'far' is no distance up to 20,038 km. Examples: 25km, 500m"),
        ({"near": "0,0", "within": "0"}, "'0' is no distance"),
        ({"within": "5km"}, "within: '5km' needs a place: near Lisbon, or near 38.72,-9.14"),
    ],
)
def test_mistakes(values: dict[str, str], message: str) -> None:
    with pytest.raises(SearchError, match=message.replace("(", r"\(")):
        parse_filters(**values)  # type: ignore[arg-type]


def test_folders() -> None:
    sources = ["/home/me/Pictures", "/home/me/Pictures/2024", "/drive"]
    key = folder_key("/home/me/Pictures/2024/Holidays", sources)
    assert key == "/pictures/2024/holidays/"
    for wanted in ("Holidays", "pictures", "2024/Holidays", "/home/me/pictures", "/home/me/Pictures/2024/Holidays"):
        assert is_inside(wanted, "/home/me/Pictures/2024/Holidays", key), wanted
    for wanted in ("me", "Holiday", "2024/Pictures", "/Pictures", "/home/me/Pict"):
        assert not is_inside(wanted, "/home/me/Pictures/2024/Holidays", key), wanted
    composed, decomposed = "Müller", "Mu\u0308ller"
    for on_disk, asked in ((composed, decomposed), (decomposed, composed)):
        there = f"/home/me/Pictures/{on_disk}"
        assert is_inside(asked, there, folder_key(there, sources))
        assert is_inside(f"/home/me/Pictures/{asked}", there, folder_key(there, sources))
    assert folder_key("/elsewhere/single", sources) == "/single/"
    assert folder_key("/drive", sources) == "/drive/"
    assert folder_key("/etc", ["/"]) == "/etc/"
