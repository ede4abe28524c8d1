"""Counts by time, and pages that stay stable while pictures come and go."""

from __future__ import annotations

import numpy as np
import pytest

from imtext.errors import SearchError
from imtext.search.index.timeline import MOST_DAYS, Timeline, page, timeline
from imtext.search.store.records import Dated


def dated(*pictures: tuple[int, str]) -> Dated:
    """A list of (id, date), in order."""
    dates = np.array([date for _, date in pictures], dtype="datetime64[s]")
    return Dated(1, np.array([id for id, _ in pictures], dtype=np.int64), dates)


LISTED = dated(
    (7, "2024-05-12T10:00:00"),
    (2, "2024-05-12T09:00:00"),
    (5, "2024-05-12T09:00:00"),
    (1, "2023-12-31T23:59:59"),
    (9, "1969-01-01T00:00:00"),
)


def test_counts_by_day_or_month() -> None:
    assert timeline(LISTED) == Timeline("year", [("2024", 3), ("2023", 1), ("1969", 1)])
    two_days = dated(*[(one, "2024-05-12") for one in range(9)], *[(one, "2024-05-10") for one in range(9, 16)])
    assert timeline(two_days) == Timeline("day", [("2024-05-12", 9), ("2024-05-10", 7)])
    days = np.arange("2024-03-31", "2024-01-01", -1, dtype="datetime64[D]").repeat(10)
    many = timeline(Dated(1, np.arange(len(days)), days.astype("datetime64[s]")))
    assert len(days) > 10 * MOST_DAYS
    assert many == Timeline("month", [("2024-03", 310), ("2024-02", 290), ("2024-01", 300)])
    assert timeline(dated()).groups == []


def test_pages_by_offset() -> None:
    assert page(LISTED, 2, 1).ids == [2, 5]
    assert page(LISTED, 9, 3) == page(LISTED, 2, 3)
    assert page(LISTED, 2, 3).next is None
    assert page(LISTED, 2, 99).ids == []


def test_a_cursor_survives_changes() -> None:
    first = page(LISTED, 2)
    assert (first.ids, page(LISTED, 9, cursor=first.next).ids) == ([7, 2], [5, 1, 9])
    changed = dated((8, "2024-06-01"), (7, "2024-05-12T10:00:00"), (5, "2024-05-12T09:00:00"), (1, "2023-12-31"))
    assert page(changed, 9, cursor=first.next).ids == [5, 1]  # its last picture is gone, and one came before it
    assert page(LISTED, 9, cursor=page(LISTED, 4).next).ids == [9]


@pytest.mark.parametrize("cursor", ["", "12", "a.b", "1.-2", "9" * 30 + ".1"])
def test_a_wrong_cursor(cursor: str) -> None:
    with pytest.raises(SearchError, match="is not the `next` of another page"):
        page(LISTED, 2, cursor=cursor)
