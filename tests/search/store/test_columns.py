"""Filtered searches equal searches of the pictures that pass, checked one by one."""

from __future__ import annotations

import math
import os
import time
from datetime import datetime
from pathlib import PurePosixPath

import numpy as np
import pytest

from imtext.search.facts import Facts
from imtext.search.filters import NO_FILTERS, Filters
from imtext.search.store import File, Picture, Store, open_store
from imtext.search.store.columns import Columns, local_time
from tests.search.store.conftest import vector

FOLDERS = [
    "/pictures",
    "/pictures/Holidays",
    "/pictures/2024/Holidays",
    "/pictures/2024/Holidays/Lisbon",
    "/pictures/x",
]
CAMERAS = ["", "Apple iPhone 12", "Apple iPhone 15 Pro", "NIKON D750"]
COUNT = 300


def random_facts(rng: np.random.Generator) -> Facts:
    width, height = rng.choice([0, 3, 4, 5], 2) * 1000
    day = datetime(int(rng.integers(2022, 2027)), int(rng.integers(1, 13)), int(rng.integers(1, 29)), 12)
    taken = f"{day.isoformat()}{rng.choice(['', '+02:00'])}" if rng.random() < 0.8 else ""
    place = rng.uniform((-90, -180), (90, 180)).round(3).tolist() if rng.random() < 0.6 else (None, None)
    return Facts(int(width), int(height), taken, str(rng.choice(CAMERAS)), *place)


def random_filters(rng: np.random.Generator) -> Filters:
    def maybe(value: object, name: str) -> dict[str, object]:
        return {name: value} if rng.random() < 0.3 else {}

    asked = {
        **maybe(f"{rng.integers(2022, 2025)}-0{rng.integers(1, 10)}-01T00:00:00", "after"),
        **maybe(f"{rng.integers(2025, 2028)}-0{rng.integers(1, 10)}-01T00:00:00", "before"),
        **maybe(str(rng.choice(["Holidays", "2024/holidays", "LISBON", "pictures", "/pictures/2024", "a"])), "folder"),
        **maybe(str(rng.choice(["iphone", "iPhone 1", "nikon d", "leica"])), "camera"),
        **maybe(str(rng.choice(["portrait", "landscape", "square"])), "orientation"),
        **maybe(int(rng.choice([3000, 4000])), "min_width"),
        **maybe(int(rng.choice([3000, 5000])), "min_height"),
        **maybe(tuple(rng.uniform((-90, -180), (90, 180)).tolist()), "near"),
        "within_km": float(rng.choice([500, 5_000, 12_000])),
    }
    return Filters(**asked)  # type: ignore[arg-type]


def passes(filters: Filters, facts: Facts, files: list[File]) -> bool:
    """The definition of a filter, of one picture."""
    date = facts.taken[:19] or min(local_time(file.mtime_ns) for file in files)
    shape = (facts.width > facts.height) - (facts.width < facts.height)
    folders = [str(PurePosixPath(file.path).parent).lower().split("/")[1:] for file in files]
    return (
        (not filters.after or date >= filters.after)
        and (not filters.before or date < filters.before)
        and filters.camera.lower() in facts.camera.lower()
        and (facts.width >= filters.min_width and facts.height >= filters.min_height)
        and (
            filters.orientation is None
            or (facts.width > 0 and ["square", "landscape", "portrait"][shape] == filters.orientation)
        )
        and (
            filters.near is None
            or (facts.latitude is not None and kilometres(facts, filters.near) <= filters.within_km)
        )
        and (not filters.folder or any(inside(filters.folder.lower(), names) for names in folders))
    )


def inside(wanted: str, names: list[str]) -> bool:
    parts = wanted.strip("/").split("/")
    starts = [0] if wanted.startswith("/") else range(len(names))
    return any(names[start : start + len(parts)] == parts for start in starts)


def kilometres(facts: Facts, near: tuple[float, float]) -> float:
    """The haversine formula."""
    assert facts.latitude is not None
    assert facts.longitude is not None
    one, other = np.radians([facts.latitude, facts.longitude]), np.radians(near)
    half = np.sin((one - other) / 2) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(half[0] + math.cos(one[0]) * math.cos(other[0]) * half[1]))


def fill(store: Store, rng: np.random.Generator) -> dict[int, tuple[Facts, list[File]]]:
    """Pictures with one to three files and with random facts; some without facts."""
    facts = {b"%d" % number: random_facts(rng) for number in range(COUNT)}
    files = [
        File(
            f"{rng.choice(FOLDERS)}/{number} {copy}.jpg",
            1,
            int(rng.integers(1_650_000_000, 1_800_000_000)) * 10**9,
            b"%d" % number,
        )
        for number in range(COUNT)
        for copy in range(rng.integers(1, 4))
    ]
    known = {content: one for content, one in facts.items() if rng.random() < 0.9}
    store.remember(["/pictures"])
    store.commit([Picture(b"%d" % number, vector(number)) for number in range(COUNT)], files, facts=known)
    held = store.held(store.ids())
    return {id: (known.get(files[0].content, Facts()), files) for id, files in held.items()}


def test_filters_are_exact(store: Store, location: str) -> None:
    rng = np.random.default_rng(0)
    pictures = fill(store, rng)
    ids = np.array(store.ids())
    vectors = np.stack([kept for id in ids.tolist() if (kept := store.vector_of(id)) is not None])
    reader, counts = open_store(location), []
    for _ in range(200):
        filters = random_filters(rng)
        passing = np.array([passes(filters, *pictures[id]) for id in ids.tolist()])
        counts.append(passing.sum())
        queries = np.stack([vector(int(seed)) for seed in rng.integers(1000, 2000, rng.integers(1, 4))])
        top_k = int(rng.integers(1, 40))
        found = reader.nearest(queries, top_k, filters)
        assert (found.size, found.ids.shape) == (COUNT, (len(queries), min(top_k, passing.sum())))
        for row, query in enumerate(queries):
            scores = vectors[passing] @ query
            order = np.argsort(-scores, kind="stable")[:top_k]
            assert found.ids[row].tolist() == ids[passing][order].tolist(), filters
            np.testing.assert_allclose(found.scores[row], scores[order], atol=1e-5)
        dates = {id: pictures[id][0].taken[:19] or min(map(file_date, pictures[id][1])) for id in ids[passing].tolist()}
        listed = reader.by_date(filters)
        assert listed.ids.tolist() == sorted(dates, key=lambda id: dates[id], reverse=True)
        assert listed.dates.astype(str).tolist() == [dates[id] for id in listed.ids.tolist()]
    assert min(counts) == 0
    assert max(counts) == COUNT
    assert len(set(counts)) > 40, "of all sizes"


def file_date(file: File) -> str:
    return local_time(file.mtime_ns)


def test_filters_follow_commits(store: Store) -> None:
    store.commit([Picture(b"a", vector(0))], [File("/pictures/a.jpg", 1, 1, b"a")])
    wanted = Filters(camera="leica")
    assert len(store.by_date(wanted).ids) == 0
    store.commit(facts={b"a": Facts(camera="Leica Q3")})
    store.refresh()
    assert store.by_date(wanted).ids.tolist() == store.ids() == store.by_date(NO_FILTERS).ids.tolist()
    assert store.by_date(wanted).version == store.version()
    assert store.nearest(vector(1)[None], 5, wanted).ids.tolist() == [store.ids()]


def test_ids_without_a_place_are_left_out() -> None:
    columns = Columns.build(np.array([3]), [(3, Facts(2, 1)), (4, Facts())], [(4, "/b", 1), (3, "/a", 1)], [])
    assert (columns.width.tolist(), columns.picture.tolist()) == ([2], [0])


def test_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "Asia/Tokyo")
    time.tzset()
    assert local_time(1_715_518_991 * 10**9) == "2024-05-12T22:03:11"
    assert local_time(2**80) == "1970-01-01T00:00:00"
    monkeypatch.undo()
    time.tzset()
