"""Filters as conditions that Lance evaluates while it searches."""

from __future__ import annotations

import numpy as np

from imtext.search.filters import Filters, is_inside
from imtext.search.store.columns import EARTH_KM, on_sphere
from imtext.search.store.lance.tables import Snapshot, literal


def condition(filters: Filters | None, tables: Snapshot) -> str:
    """The condition of pictures that a file has and that pass; empty if all do. See `Columns.passing`."""
    parts = [tables.held]
    if filters:
        parts += [*_known(filters), _inside(filters.folder, tables)]
    return " AND ".join(f"({part})" for part in parts if part)


def _known(filters: Filters) -> list[str]:
    parts = []
    for moment, sign in ((filters.after, ">="), (filters.before, "<")):
        if moment:
            parts.append(f"date {sign} {int(np.datetime64(moment, 's').astype(np.int64))}")
    if filters.min_width or filters.min_height:
        parts.append(f"width >= {filters.min_width} AND height >= {filters.min_height}")
    if filters.orientation:
        sign = {"landscape": ">", "portrait": "<", "square": "="}[filters.orientation]
        parts.append(f"width {sign} height AND width > 0")
    if filters.camera:
        parts.append(f"contains(maker, {literal(filters.camera.casefold())})")
    if filters.near:
        ((x, y, z),) = on_sphere([filters.near[0]], [filters.near[1]]).tolist()
        least = float(np.cos(min(filters.within_km / EARTH_KM, np.pi)))
        parts.append(f"x * ({x!r}) + y * ({y!r}) + z * ({z!r}) >= ({least!r})")
    return parts


def _inside(wanted: str, tables: Snapshot) -> str:
    if not wanted:
        return ""
    numbers = [str(number) for number, path, key in tables.folders if is_inside(wanted, path, key)]
    return f"array_has_any(folders, [{', '.join(numbers)}])" if numbers else "false"
