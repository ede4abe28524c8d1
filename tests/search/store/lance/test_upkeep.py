"""Indexes and joined files change no result; they only make it faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import pytest

from imtext.errors import StoreError
from imtext.search.filters import Filters
from imtext.search.store import File, Picture
from imtext.search.store.lance import LanceStore, upkeep
from imtext.search.store.lance.nearest import nearest
from imtext.search.store.lance.pictures import vector_column
from imtext.search.store.lance.state import State

DIM = 30  # not a multiple of 8: see `width`


@pytest.fixture
def grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LanceStore:
    """A store with every index, made from its first 600 pictures; 100 came later."""
    for name, value in (("COMMITS", 5), ("LOOKED_UP", 100), ("VECTORS", 500), ("PARTITION", 64)):
        monkeypatch.setattr(upkeep, name, value)
    store = LanceStore.create(f"lance://{tmp_path / 'grown'}", DIM)
    vectors = np.random.default_rng(0).normal(size=(700, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for start in range(0, 700, 100):
        part = range(start, start + 100)
        store.commit(
            [Picture(b"%d" % number, vectors[number]) for number in part],
            [File(f"/p/{number % 7}/{number}.jpg", 1, number, b"%d" % number) for number in part],
            sweep=start == 500,
        )
    store.refresh()
    return store


def test_indexes_are_made_when_there_is_enough(grown: LanceStore) -> None:
    found = {index.columns[0]: index for index in grown._latest().pictures.list_indices()}
    assert set(found) == {"id", "content", "words", "vector"}
    assert found["vector"].num_indexed_rows >= 600
    assert {index.columns[0] for index in grown._latest().files.list_indices()} == {"path", "picture"}
    assert grown._last.state.trained == 600


def test_results_are_the_same(grown: LanceStore) -> None:
    vectors = np.stack([vector for id in grown.ids() if (vector := grown.vector_of(id)) is not None])
    queries = vectors[[0, 650]] @ np.linalg.qr(np.eye(DIM) + 0.1)[0].astype(np.float32)
    exact = grown.nearest(queries, 10)
    order = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :10]
    assert exact.ids.tolist() == (order + 1).tolist()
    near = grown.nearest(queries, 10, approximate=True)
    assert np.mean([np.isin(*both).mean() for both in zip(near.ids, exact.ids, strict=True)]) >= 0.9
    scores = {id: score for row in range(2) for id, score in zip(exact.ids[row], exact.scores[row], strict=True)}
    assert near.scores[0][0] == scores[near.ids[0][0]], "they are exact"
    folder = grown.nearest(queries, 500, Filters(folder="3"), approximate=True)
    assert folder.ids.shape == (2, 100), "as many as pass"
    assert (grown.check(), len(grown.held(grown.ids())), grown.known([b"5", b"x"])) == (700, 700, {b"5"})


def test_numbers_may_differ_as_much_as_those_of_principal_axes(tmp_path: Path) -> None:
    """The numbers of `imtext export --dim` are sorted by their variance, which codes have to bear."""
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(10_010, 64)) * 0.9 ** np.arange(64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = lancedb.connect(str(tmp_path)).create_table(
        "vectors", pa.table({"id": np.arange(10_000), "vector": vector_column(vectors[:10_000])})
    )
    upkeep.index_vectors(table, 10_000)
    found = [nearest(table, query, 10, "", indexed=True)[0] for query in vectors[10_000:]]
    expected = [nearest(table, query, 10, "", indexed=False)[0] for query in vectors[10_000:]]
    assert np.mean([np.isin(*both).mean() for both in zip(found, expected, strict=True)]) > 0.95


def test_the_vector_index_has_few_parts(grown: LanceStore) -> None:
    """Each update adds one to it, which costs every query as much as the first."""
    parts = []
    for number in range(2 * upkeep.PARTS):
        vector = np.eye(1, DIM, number, dtype=np.float32)[0]
        grown.commit([Picture(b"new%d" % number, vector)], [File(f"/new/{number}", 1, 1, b"new%d" % number)])
        grown.tend(ended=False)  # a long update must not leave many, either
        parts.append(upkeep._parts(grown._latest().pictures))
    assert max(parts) == upkeep.PARTS
    assert min(parts[upkeep.PARTS :]) == 1
    grown.refresh()
    assert grown.nearest(np.eye(1, DIM, 3, dtype=np.float32), 1, approximate=True).scores[0][0] == 1


def test_a_reader_of_before_still_reads(grown: LanceStore) -> None:
    reader = LanceStore.open(grown.location)
    before = reader.nearest(np.eye(1, DIM, dtype=np.float32), 5)
    grown.commit(gone=[f"/p/{number % 7}/{number}.jpg" for number in range(200)])
    grown.tend()
    assert reader.size == 700
    assert reader.nearest(np.eye(1, DIM, dtype=np.float32), 5).ids.tolist() == before.ids.tolist()
    assert reader.refresh()
    assert (reader.size, reader.check()) == (500, 500)


def test_what_was_replaced_long_ago_is_removed(
    tmp_path: Path, add: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that was made long ago and replaced a moment ago stays, because servers still read it."""
    monkeypatch.setattr(upkeep, "KEPT", timedelta(seconds=1))
    monkeypatch.setattr(upkeep, "SPARE", timedelta(milliseconds=10))
    store = LanceStore.create(f"lance://{tmp_path / 'old'}", 8)
    add(store, 3)
    reader = LanceStore.open(store.location)
    reader.refresh()
    time.sleep(1.1)
    add(store, 3, first=10)
    store.tend()
    assert len(reader.held(reader.ids())) == len(reader.ids()) == 3
    before = len(store._latest().pictures.list_versions())
    time.sleep(1.1)
    store.tend()
    after = store._latest().pictures.list_versions()
    assert len(after) < before
    assert min(one["version"] for one in after) > reader._latest().state.tables["pictures"] - 3
    assert store.check() == 6
    LanceStore.rebuild(store.location, 8)
    fresh = LanceStore.open(store.location)
    add(fresh, 2)
    fresh.tend()
    assert fresh.check() == 2


def test_rows_of_another_writer_are_not_committed(grown: LanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    index_vectors = upkeep.index_vectors

    def meanwhile(table: Any, count: int) -> None:
        index_vectors(table, count)
        other = LanceStore.open(grown.location)._latest().files
        other.checkout_latest()
        other.add(other.head(1))

    monkeypatch.setattr(upkeep, "GROWN", 1)
    monkeypatch.setattr(upkeep, "index_vectors", meanwhile)
    with pytest.raises(StoreError, match="Another process writes to this index at the same time"):
        grown.tend()
    monkeypatch.undo()
    grown.tend()
    assert (grown.check(), len(list(grown.files()))) == (700, 700)


def test_when_it_is_due() -> None:
    def due(ended: bool, **known: int) -> bool:
        return upkeep.is_due(State(1, "g", 2, **known), ended)  # type: ignore[arg-type]

    assert due(False, commits=upkeep.COMMITS)
    assert not due(True, count=upkeep.LOOKED_UP)
    assert due(True, count=upkeep.LOOKED_UP + 1)
    assert not due(False, count=upkeep.LOOKED_UP + 1)
    assert not due(True, count=1_100_000, indexed=1_000_000, trained=900_000)
    assert due(True, count=upkeep.VECTORS, indexed=upkeep.VECTORS), "there is no vector index yet"
    assert not due(False, count=upkeep.VECTORS, indexed=upkeep.VECTORS)


def test_nothing_is_lost_if_it_is_interrupted(
    grown: LanceStore, monkeypatch: pytest.MonkeyPatch, add: Callable[..., None]
) -> None:
    monkeypatch.setattr(
        "imtext.search.store.lance.store.write_state", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        grown.tend()
    monkeypatch.undo()
    again = LanceStore.create(grown.location, DIM)
    assert again.check() == 700
    again.commit(gone=["/p/0/0.jpg"])
    assert again.check() == 699
