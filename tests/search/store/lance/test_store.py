"""Behaviour of the store in Lance only: killed writers, two writers, other models, and the same results as SQLite."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imtext.errors import SearchError, StoreError
from imtext.search.facts import Facts
from imtext.search.filters import NO_FILTERS, Filters
from imtext.search.store import File, Picture, Store, create_store
from imtext.search.store.lance import LanceStore, store, writing
from tests.search.store.conftest import DIM, vector

Add = Callable[..., None]

KILLED = """
import os, sys
from imtext.search.store import File, Picture
from imtext.search.store.lance import LanceStore, store
import numpy as np
store.write_state = lambda *_: os._exit(9)  # everything is written but the commit itself
LanceStore.open(sys.argv[1]).commit(
    [Picture(b"new", np.eye(1, 8, dtype=np.float32)[0])], [File("/pictures/001.jpg", 9, 9, b"new")],
    ["/pictures/000.jpg"],
)
"""


def test_a_killed_writer_leaves_nothing(lance: LanceStore, url: str, add: Add) -> None:
    add(lance, 3)
    version, files = lance.version(), list(lance.files())
    done = subprocess.run([sys.executable, "-c", KILLED, url], check=False, capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    for reader in (lance, LanceStore.open(url)):
        assert (reader.version(), list(reader.files()), reader.known([b"new"])) == (version, files, set())
        assert reader.check() == 3
    lance.commit(gone=["/pictures/002.jpg"])
    assert (lance.check(), lance.known([b"new", b"0"])) == (2, {b"0"})


def test_two_writers(lance: LanceStore, url: str, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller lets one write at a time; on several machines nobody can ensure it."""
    add(lance, 3)
    other, plan = LanceStore.open(url), writing.plan

    def meanwhile(*given: object) -> object:
        monkeypatch.setattr(store, "plan", plan)
        add(other, 2, first=10)
        return plan(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "plan", meanwhile)
    with pytest.raises(StoreError, match=r"Another process .* at the same time"):
        add(lance, 2, first=20)
    for opened in (lance, other):
        opened.refresh()
        assert sorted(file.path for file in opened.files())[-1] == "/pictures/011.jpg"
        assert opened.check() == 5


def test_the_model_is_recorded(lance: LanceStore, url: str, add: Add) -> None:
    assert (lance.model, LanceStore.open(url).model, LanceStore.create(url, 4, "other").model) == ("model one",) * 3
    add(lance, 2)
    LanceStore.rebuild(url, 4, "model two")
    fresh = LanceStore.open(url)
    assert (fresh.model, fresh.embed_dim, fresh.count(), lance.model) == ("model two", 4, 0, "model one")


def test_a_replaced_index_stays_for_a_day(
    lance: LanceStore, url: str, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(lance, 3)
    lance.refresh()
    LanceStore.rebuild(url, DIM, "model two")
    fresh = LanceStore.open(url)
    fresh.tidy()
    assert lance.replaced()
    assert (lance.nearest(vector(0)[None], 1).size, len(lance.held(lance.ids()))) == (3, 3)
    monkeypatch.setattr(store, "DAY", 0.0)
    time.sleep(0.01)
    fresh.tidy()
    assert len(fresh._db.list_tables().tables) == 4
    with pytest.raises(StoreError, match="cannot be read"):
        LanceStore.nearest(lance, vector(0)[None], 1)
    assert not fresh.replaced()


def test_check_notices_lost_rows(lance: LanceStore, url: str, add: Add) -> None:
    add(lance, 3)
    lance._last.pictures.checkout_latest()
    lance._last.pictures.delete("id = 2")
    with pytest.raises(SearchError, match="is damaged: 2 vectors, not 3"):
        lance.check()


def _filled(store: Store) -> Store:
    """Pictures with facts, several files, and many equal vectors."""
    rng = np.random.default_rng(1)
    store.remember(["/pictures"])
    numbers = range(400)
    vectors = rng.normal(size=(100, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cameras, words = ("", "Apple iPhone 12", "NIKON D750"), ("Porto", "café", "sunset", "a bridge in Porto", "")
    store.commit(
        [Picture(b"%d" % number, vectors[number % 100]) for number in numbers],
        [File(f"/pictures/{number % 5}/Holidays {number}.jpg", 1, number * 10**9, b"%d" % number) for number in numbers]
        + [File(f"/pictures/copies/{number}.jpg", 1, 1, b"%d" % number) for number in range(0, 400, 7)],
        facts={
            b"%d" % number: Facts(
                number * 10, 2_000, f"20{number % 30:02}-05-12T14:03:11" if number % 3 else "", cameras[number % 3],
                38.7 + number / 100 if number % 2 else None, -9.1 if number % 2 else None, title=words[number % 5],
            )
            for number in numbers if number % 11
        },
    )  # fmt: skip
    store.commit(gone=[f"/pictures/3/Holidays {number}.jpg" for number in numbers])
    store.refresh()
    return store


def test_the_same_results_as_sqlite(lance: LanceStore, tmp_path: Path) -> None:
    stores = [_filled(one) for one in (lance, create_store(tmp_path / "index", DIM))]
    asked = (
        NO_FILTERS, Filters(after="2010-01-01T00:00:00", before="2025-01-01T00:00:00"), Filters(folder="copies"),
        Filters(camera="iphone", min_width=500), Filters(orientation="portrait"),
        Filters(near=(39.0, -9.1), within_km=50),
    )  # fmt: skip
    queries = np.stack([vector(number) for number in range(70)])
    for filters in asked:
        one, two = [store.nearest(queries, 30, filters or None) for store in stores]
        assert 5 < one.ids.shape[1] <= 30
        np.testing.assert_array_equal(one.ids, two.ids)
        np.testing.assert_array_equal(one.scores, two.scores)  # to the last bit
        one_by_date, two_by_date = [store.by_date(filters) for store in stores]
        np.testing.assert_array_equal(one_by_date.ids, two_by_date.ids)
        np.testing.assert_array_equal(one_by_date.dates, two_by_date.dates)
        for words in (["porto"], ["PORTO", "bridge"], ["holidays", "cafe"], ["copies"]):
            matches = [store.find_words(words, 500, filters or None) for store in stores]
            assert len({len(each) for each in matches}) == 1
            assert {(one.id, one.share, one.where) for one in matches[0]} == {
                (one.id, one.share, one.where) for one in matches[1]
            }
            shares = [one.share for one in matches[0]]
            assert shares == sorted(shares, reverse=True)
    for read in (
        lambda s: list(s.files()),
        lambda s: s.held(s.ids()),
        lambda s: s.facts(s.ids()),
        lambda s: s.sources(),
    ):
        assert read(stores[0]) == read(stores[1])
    np.testing.assert_allclose(stores[0].nearest(queries, 1).mean, stores[1].nearest(queries, 1).mean, atol=1e-6)
