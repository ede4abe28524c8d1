"""Pictures without a query: how many of them each day or month has, and pages of them, newest first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from imtext.errors import SearchError
from imtext.search.store.records import Dated

MOST_DAYS = 62  # pictures of more days than this are not counted by day
FEW: dict[str, int] = {"day": 8, "month": 4}  # with fewer pictures on average, they are counted by the next longer time


Unit = Literal["day", "month", "year"]


@dataclass(frozen=True)
class Timeline:
    """How many pictures there are of each time, newest first.

    Attributes:
        by: length of these times.
        groups: ``2024``, ``2024-05`` or ``2024-05-12``, and number of pictures; only times with pictures.
    """

    by: Unit
    groups: Sequence[tuple[str, int]]


def timeline(listed: Dated) -> Timeline:
    """Count pictures by day if they are of a few days, else by month or year, so that a group fills some rows."""
    days = _count(listed.dates.astype("datetime64[D]"))
    if len(days) <= MOST_DAYS and len(listed.ids) >= FEW["day"] * len(days):
        return Timeline("day", days)
    months = _count(listed.dates.astype("datetime64[M]"))
    if len(listed.ids) >= FEW["month"] * len(months):
        return Timeline("month", months)
    return Timeline("year", _count(listed.dates.astype("datetime64[Y]")))


def _count(dates: np.ndarray[tuple[int], np.dtype[np.datetime64]]) -> list[tuple[str, int]]:
    """Dates in order → each different one, and how often it is there."""
    if not len(dates):
        return []
    starts = np.concatenate([[0], np.flatnonzero(dates[1:] != dates[:-1]) + 1])
    counts = np.diff(starts, append=len(dates))
    return list(zip(dates[starts].astype(str).tolist(), counts.tolist(), strict=True))


@dataclass(frozen=True)
class Page:
    """A part of a list by date.

    Attributes:
        ids: of the pictures.
        next: `cursor` of the page that follows; None: this one is the last.
    """

    ids: Sequence[int]
    next: str | None


def page(listed: Dated, limit: int, offset: int = 0, cursor: str | None = None) -> Page:
    """A page of a list.

    Args:
        listed: all of it.
        limit: maximum number of pictures.
        offset: number of pictures to skip.
        cursor: continue after the last picture of an earlier page, also if pictures were added or removed since.

    Raises:
        SearchError: `cursor` is not one of ours.
    """
    first = offset + (_place_after(listed, cursor) if cursor is not None else 0)
    last = min(first + limit, len(listed.ids))
    ids = listed.ids[first:last].tolist()
    more = bool(ids) and last < len(listed.ids)
    return Page(ids, f"{listed.dates[last - 1].astype(np.int64)}.{ids[-1]}" if more else None)


def _place_after(listed: Dated, cursor: str) -> int:
    parts = re.fullmatch(r"(-?\d{1,15})\.(\d{1,18})", cursor)
    if parts is None:
        raise SearchError(f"cursor: {cursor!r} is not the `next` of another page")
    date, id = np.datetime64(int(parts[1]), "s"), int(parts[2])
    return int(np.count_nonzero((listed.dates > date) | ((listed.dates == date) & (listed.ids <= id))))
