"""Exact search, and its file that may be torn at any time."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from imtext.search.store.matrix import BLOCK, Matrix, open_matrix
from imtext.search.store.sqlite import File, Picture, SQLiteStore


def matrix(count: int, dim: int = 8, seed: int = 0) -> Matrix:
    vectors = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return Matrix(1, np.arange(count) * 3, vectors, vectors.mean(axis=0) if count else np.zeros(dim, np.float32))


@pytest.mark.parametrize("count", [1, 9, 500, BLOCK + 100])
def test_equals_sorting_everything(count: int) -> None:
    searched, queries = matrix(count), matrix(5, seed=1).vectors
    places, scores = searched.top_k(queries, 10)
    full = queries @ searched.vectors.T
    for row in range(5):
        expected = np.argsort(-full[row], kind="stable")[:10]
        np.testing.assert_array_equal(places[row], expected)
        np.testing.assert_allclose(scores[row], full[row][expected], atol=1e-5)
        alone, _ = searched.top_k(queries[row : row + 1], 10)
        np.testing.assert_array_equal(alone[0], places[row])


def test_ties_keep_their_order() -> None:
    vectors = np.ones((1000, 4), dtype=np.float32)
    vectors[700] += 1
    tied = Matrix(1, np.arange(1000), vectors, vectors.mean(axis=0))
    for queries in (np.ones((1, 4), np.float32), np.ones((3, 4), np.float32)):
        places, _ = tied.top_k(queries, 4)
        assert places[0].tolist() == [700, 0, 1, 2]


def test_many_queries_take_little_memory() -> None:
    searched, queries = matrix(BLOCK), matrix(200, seed=1).vectors
    tracemalloc.start()
    places, scores = searched.top_k(queries, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6, "the scores of all queries are 52 MB"
    assert places.shape == scores.shape == (200, 3)
    np.testing.assert_array_equal(places[199], searched.top_k(queries[199:], 3)[0][0])


def test_nothing_to_find() -> None:
    assert matrix(0).top_k(np.ones((2, 8), np.float32), 5)[0].shape == (2, 0)
    assert matrix(5).top_k(np.ones((0, 8), np.float32), 5)[0].shape == (0, 0)


@pytest.fixture
def store(tmp_path: Path) -> SQLiteStore:
    store = SQLiteStore(tmp_path / "index.sqlite", embed_dim=8)
    add(store, 20)
    return store


def add(store: SQLiteStore, count: int, first: int = 0) -> None:
    rows = [(b"%d" % number, matrix(1, seed=number).vectors[0]) for number in range(first, first + count)]
    store.commit(
        [Picture(content, vector) for content, vector in rows],
        [File(f"/{content.decode()}.jpg", 1, 1, content) for content, _ in rows],
    )


def test_follows_the_store(store: SQLiteStore, tmp_path: Path) -> None:
    path = tmp_path / "vectors.cache"
    made = open_matrix(path, store)
    np.testing.assert_array_equal(made.vectors[7], matrix(1, seed=7).vectors[0])
    np.testing.assert_allclose(made.mean, made.vectors.mean(axis=0), atol=1e-6)
    written = path.stat().st_mtime_ns
    assert open_matrix(path, store).version == made.version
    assert path.stat().st_mtime_ns == written, "made only once"
    add(store, 5, first=20)
    store.commit(gone=["/3.jpg"])
    later = open_matrix(path, store)
    assert len(later.ids) == 24
    assert len(made.ids) == 20, "who was searching goes on with what it had"
    np.testing.assert_array_equal(made.vectors[19], matrix(1, seed=19).vectors[0])


@pytest.mark.parametrize("damage", [b"", b"{", b"x" * 5000])
def test_torn(store: SQLiteStore, tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "vectors.cache"
    whole = open_matrix(path, store).vectors.copy()
    for content in (damage, path.read_bytes()[:-1]):
        path.write_bytes(content)
        np.testing.assert_array_equal(open_matrix(path, store).vectors, whole)


def test_rows_that_went_back(store: SQLiteStore, tmp_path: Path) -> None:
    """A backup was put in place, or the power went: as many commits later the rows are others."""
    path = tmp_path / "vectors.cache"
    store.close()
    saved = (tmp_path / "index.sqlite").read_bytes()
    for first in (100, 200):
        (tmp_path / "index.sqlite").write_bytes(saved)
        store = SQLiteStore(tmp_path / "index.sqlite")
        add(store, 5, first)
        np.testing.assert_array_equal(open_matrix(path, store).vectors[20], matrix(1, seed=first).vectors[0])
        store.close()


def test_another_process_takes_the_file_away(
    store: SQLiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, target: replace(self, target).unlink())
    assert len(open_matrix(tmp_path / "vectors.cache", store).vectors) == 20


def test_pictures_without_files_are_not_there(store: SQLiteStore, tmp_path: Path) -> None:
    store.commit(gone=["/3.jpg"], sweep=False)  # and no more commits: killed
    found = open_matrix(tmp_path / "vectors.cache", store)
    assert store.count() == len(found.ids) == len(found.vectors) == 19
    assert set(store.held(found.ids.tolist())) == set(found.ids.tolist())
    np.testing.assert_array_equal(found.vectors[3], matrix(1, seed=4).vectors[0])


def test_read_only_folder(store: SQLiteStore, tmp_path: Path) -> None:
    made = open_matrix(tmp_path / "no/such/folder/vectors.cache", store)
    assert len(made.ids) == 20
