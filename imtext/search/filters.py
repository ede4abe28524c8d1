"""Filters beside the words of a query: when, where and with what a picture was taken, its folder and its size."""

from __future__ import annotations

import calendar
import math
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from imtext.errors import SearchError
from imtext.search.facts import Orientation
from imtext.search.places import find_place

Sort = Literal["relevance", "date"]

WITHIN_KM, HALF_WAY_ROUND_KM = 25.0, 20_038.0
MAX_SIDE = 1_000_000  # pixels


class FilterError(SearchError):
    """The text of a filter that says nothing.

    Attributes:
        name: the argument of `parse_filters`.
        problem: what is wrong with it.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name, self.problem = name, problem


@dataclass(frozen=True)
class Filters:
    """What pictures must be; what is empty is not asked for.

    A picture without the fact that is asked for, such as a place, is left out.

    Attributes:
        after: earliest local time, ISO 8601 with seconds; pictures of this time are kept.
        before: local time that pictures are before.
        folder: names of one or more folders, ``Holidays`` or ``2024/Holidays``, or an absolute path; in any case.
            Pictures in folders below are kept.
        camera: a part of maker and model, in any case.
        orientation: of the upright picture.
        min_width: pixels.
        min_height: pixels.
        near: latitude and longitude in degrees.
        within_km: distance from `near` in kilometres.
        place: what the name of a place was taken for, ``Lisbon, Portugal``; empty for coordinates.
    """

    after: str = ""
    before: str = ""
    folder: str = ""
    camera: str = ""
    orientation: Orientation | None = None
    min_width: int = 0
    min_height: int = 0
    near: tuple[float, float] | None = None
    within_km: float = WITHIN_KM
    place: str = ""

    def __bool__(self) -> bool:
        """Is anything asked for?"""
        return self != Filters()


NO_FILTERS = Filters()


def parse_filters(
    after: str | None = None,
    before: str | None = None,
    folder: str | None = None,
    camera: str | None = None,
    orientation: Orientation | None = None,
    min_size: str | None = None,
    near: str | None = None,
    within: str | None = None,
) -> Filters:
    """Filters as people write them; None or an empty text is not asked for.

    Args:
        after: a year, a month or a day, ``2024``, ``2024-05`` or ``2024-05-31``: its first moment and later.
        before: the same: what is before its first moment.
        folder: see `Filters`.
        camera: see `Filters`.
        orientation: see `Filters`.
        min_size: width × height in pixels, ``1000x800``.
        near: latitude and longitude in degrees, ``38.72,-9.14``, or the name of a city: ``Lisbon``, ``Paris, US``.
        within: distance from `near`, ``25km`` or ``500m``.

    Raises:
        FilterError: a text is none of these.
        SearchError: no picture can be after and before.
        MissingExtraError: `near` is a name, and the names of places are not installed.
    """
    first, last = _moment("after", after), _moment("before", before)
    if first and last and first >= last:
        raise SearchError(f"No picture is both after {after} and before {before}: 'before' must be the later one")
    if within and not near:
        raise FilterError("within", f"{within!r} needs a place: near Lisbon, or near 38.72,-9.14 (latitude, longitude)")
    position, place = _place(near) if near else (None, "")
    width, height = _size(min_size) if min_size else (0, 0)
    return Filters(
        first,
        last,
        _folder(folder or ""),
        " ".join((camera or "").split()),
        orientation,
        width,
        height,
        position,
        _kilometres(within) if within else WITHIN_KM,
        place,
    )


def _moment(name: str, text: str | None) -> str:
    """The first moment of a year, a month or a day."""
    if not text:
        return ""
    parts = re.fullmatch(r"(\d{4})(?:-(\d\d?))?(?:-(\d\d?))?", text.strip())
    year, month, day = (int(part or 1) for part in parts.groups()) if parts else (0, 0, 0)
    if not parts or year < 1:
        problem = "is no date"
    elif not 1 <= month <= 12:
        problem = f"has no month {month}"
    elif not 1 <= day <= calendar.monthrange(year, month)[1]:
        problem = f"has no day {day} in this month"
    else:
        return f"{year:04}-{month:02}-{day:02}T00:00:00"
    raise FilterError(name, f"{text!r} {problem}. Give a year, a month or a day: 2024, 2024-05 or 2024-05-31")


def _folder(text: str) -> str:
    text = text.strip().replace(os.sep, "/")
    names = [name for name in text.split("/") if name not in ("", ".")]
    return ("/" if text.startswith("/") else "") + "/".join(names)


def _size(text: str) -> tuple[int, int]:
    parts = re.fullmatch(r"(\d{1,7})\s*[xX×]\s*(\d{1,7})", text.strip())
    width, height = (int(part) for part in parts.groups()) if parts else (0, 0)
    if not parts or max(width, height) > MAX_SIDE:
        raise FilterError("min_size", f"{text!r} is no size. Give width and height in pixels: 1000x800")
    return width, height


def _place(text: str) -> tuple[tuple[float, float], str]:
    """Coordinates, and what a name was taken for."""
    if any(char.isalpha() for char in text):
        found = find_place(text)
        return found.position, found.called
    parts = re.fullmatch(r"([+-]?\d{1,3}(?:\.\d*)?)\s*[,; ]\s*([+-]?\d{1,3}(?:\.\d*)?)", text.strip())
    latitude, longitude = (float(part) for part in parts.groups()) if parts else (math.inf, math.inf)
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise FilterError(
            "near",
            f"{text!r} is no place. Give the name of a city, or latitude (-90 … 90) and longitude (-180 … 180) in "
            "degrees: 38.72,-9.14",
        )
    return (latitude, longitude), ""


def _kilometres(text: str) -> float:
    parts = re.fullmatch(r"(\d{1,8}(?:\.\d*)?)\s*(km|m)?", text.strip().lower())
    distance = float(parts[1]) / (1000 if parts[2] == "m" else 1) if parts else 0.0
    if not 0 < distance <= HALF_WAY_ROUND_KM:
        raise FilterError("within", f"{text!r} is no distance up to {HALF_WAY_ROUND_KM:,.0f} km. Examples: 25km, 500m")
    return distance


def folder_key(folder: str, sources: Sequence[str]) -> str:
    """The names by which a folder is found: from the indexed folder that it is in to its own, between slashes.

    Args:
        folder: absolute path.
        sources: what was indexed, such as folders. Their parents are not part of the names: clients do not see them.
    """
    around = [source for source in sources if f"{folder}{os.sep}".startswith(source.rstrip(os.sep) + os.sep)]
    top = min(around, key=len).rstrip(os.sep) if around else folder
    return _plain(f"{folder[max(0, top.rfind(os.sep)) :]}{os.sep}")


def is_inside(wanted: str, folder: str, key: str) -> bool:
    """Is a folder the wanted one, or below it?

    Args:
        wanted: `Filters.folder`.
        folder: absolute path.
        key: its `folder_key`.
    """
    if wanted.startswith("/"):
        return _plain(f"{folder}{os.sep}").startswith(f"{_plain(wanted)}/")
    return f"/{_plain(wanted)}/" in key


def _plain(folder: str) -> str:
    """A name as it is compared: in any case, and in one Unicode form, since disks and keyboards have different ones."""
    return unicodedata.normalize("NFC", folder.replace(os.sep, "/").casefold())
