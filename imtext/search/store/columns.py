"""Facts of all pictures that are searched, an array for each, so that a filter takes a fraction of a search."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt

from imtext.search.facts import Facts
from imtext.search.filters import Filters, folder_key, is_inside
from imtext.search.store.records import Ids

EARTH_KM = 6371.0088  # mean radius

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Columns:
    """The facts of N pictures with F files.

    Attributes:
        date: ``[N]`` datetime64[s], local time when it was taken, else when the oldest of its files changed.
        width: ``[N]``; 0: unknown.
        height: ``[N]``.
        camera: ``[N]``, a place in `cameras`.
        cameras: names in lower case.
        position: ``[N, 3]`` on a sphere of radius 1; NaN: unknown.
        picture: ``[F]``, the picture of each file.
        folder: ``[F]``, a place in `folders`.
        folders: absolute path and `folder_key` of each folder.
    """

    date: npt.NDArray[np.datetime64]
    width: npt.NDArray[np.int64]
    height: npt.NDArray[np.int64]
    camera: npt.NDArray[np.int64]
    cameras: Sequence[str]
    position: npt.NDArray[np.float64]
    picture: npt.NDArray[np.int64]
    folder: npt.NDArray[np.int64]
    folders: Sequence[tuple[str, str]]

    @classmethod
    def build(
        cls,
        ids: Ids,
        facts: Iterable[tuple[int, Facts]],
        files: Iterable[tuple[int, str, int]],
        sources: Sequence[str],
    ) -> Columns:
        """Collect the facts of pictures.

        Args:
            ids: ``[N]`` ascending.
            facts: id and facts of pictures; those with other ids are left out.
            files: id of the picture, path and modification time in nanoseconds of each file.
            sources: what was indexed, for `folder_key`.
        """
        place_of = {id: place for place, id in enumerate(ids.tolist())}
        known = [Facts()] * len(ids)
        for id, one in facts:
            if id in place_of:
                known[place_of[id]] = one
        oldest = [2**62] * len(ids)
        folders: dict[str, int] = {}
        picture, folder = [], []
        for id, path, mtime_ns in files:
            if (place := place_of.get(id)) is not None:
                oldest[place] = min(oldest[place], mtime_ns)
                picture.append(place)
                folder.append(folders.setdefault(os.path.dirname(path), len(folders)))  # noqa: PTH120
        taken = [one.taken[:19] or local_time(changed) for one, changed in zip(known, oldest, strict=True)]
        cameras: dict[str, int] = {}
        return cls(
            np.array(taken, dtype="datetime64[s]"),
            np.array([one.width for one in known], dtype=np.int64),
            np.array([one.height for one in known], dtype=np.int64),
            np.array([cameras.setdefault(one.camera.casefold(), len(cameras)) for one in known], dtype=np.int64),
            tuple(cameras),
            on_sphere([one.latitude for one in known], [one.longitude for one in known]),
            np.array(picture, dtype=np.int64),
            np.array(folder, dtype=np.int64),
            [(name, folder_key(name, sources)) for name in folders],
        )

    def passing(self, filters: Filters) -> Mask:
        """Which of the N pictures a filter keeps."""
        keep = np.ones(len(self.date), dtype=np.bool_)
        if filters.after:
            keep &= self.date >= np.datetime64(filters.after)
        if filters.before:
            keep &= self.date < np.datetime64(filters.before)
        if filters.min_width or filters.min_height:
            keep &= (self.width >= filters.min_width) & (self.height >= filters.min_height)
        if filters.orientation:
            compare = {"landscape": np.greater, "portrait": np.less, "square": np.equal}[filters.orientation]
            keep &= compare(self.width, self.height) & (self.width > 0)
        if filters.camera:
            wanted = filters.camera.casefold()
            keep &= np.array([wanted in name for name in self.cameras], dtype=np.bool_)[self.camera]
        if filters.near:
            (centre,) = on_sphere([filters.near[0]], [filters.near[1]])
            # A product is five times as fast as a distance; rounding moves the border by 10 cm.
            keep &= self.position @ centre >= np.cos(min(filters.within_km / EARTH_KM, np.pi))  # false for NaN
        if filters.folder:
            inside = np.array([is_inside(filters.folder, *names) for names in self.folders], dtype=np.bool_)
            held = np.zeros_like(keep)
            held[self.picture[inside[self.folder]]] = True
            keep &= held
        return keep

    @cached_property
    def newest_first(self) -> npt.NDArray[np.int64]:
        """``[N]``, the places of all pictures, newest first; of equal dates the first one first."""
        return np.argsort(-self.date.astype(np.int64), kind="stable")

    def by_date(self, filters: Filters) -> npt.NDArray[np.int64]:
        """The places of the pictures that a filter keeps, newest first."""
        order = self.newest_first
        return order[self.passing(filters)[order]] if filters else order


def local_time(mtime_ns: int) -> str:
    """The local time of a modification time, ISO 8601 with seconds; that of 1970 if it is out of bounds."""
    try:
        return datetime.fromtimestamp(mtime_ns // 10**9).isoformat()
    except (OverflowError, ValueError, OSError):
        return "1970-01-01T00:00:00"


def on_sphere(latitudes: Sequence[float | None], longitudes: Sequence[float | None]) -> npt.NDArray[np.float64]:
    """``N`` places in degrees → ``[N, 3]`` of length 1; None → NaN."""
    latitude = np.radians(np.array(latitudes, dtype=np.float64))
    longitude = np.radians(np.array(longitudes, dtype=np.float64))
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1
    )
