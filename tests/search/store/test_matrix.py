"""The matrix equals its rows, even if its file is damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given

from imtext.search.store import File, Picture, matrix
from imtext.search.store.exact import FEW
from imtext.search.store.matrix import HEADER, Matrix, open_matrix
from imtext.search.store.rows import Rows
from imtext.search.store.schema import create_rows
from tests.damage import damaged, fuzzed
from tests.search.store.conftest import DIM, vector

Add = Callable[..., None]


@pytest.fixture
def rows(tmp_path: Path, add: Add) -> Rows:
    create_rows(tmp_path / "index.sqlite", DIM)
    rows = Rows(tmp_path / "index.sqlite")
    add(rows, 20)
    return rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vectors.cache"


def test_follows_the_rows(rows: Rows, path: Path, add: Add) -> None:
    written = open_matrix(path, rows)
    np.testing.assert_array_equal(written.vectors[7], vector(7))
    np.testing.assert_allclose(written.mean, written.vectors.mean(axis=0), atol=1e-6)
    assert (written.place(int(written.ids[7])), written.place(0), written.place(10**6)) == (7, None, None)
    time = path.stat().st_mtime_ns
    assert open_matrix(path, rows).version == written.version
    assert path.stat().st_mtime_ns == time, "written only once"
    add(rows, 5, first=20)
    rows.commit(gone=["/pictures/003.jpg"])
    later = open_matrix(path, rows)
    assert len(later.ids) == 24
    assert len(written.ids) == 20, "a search that has begun goes on with what it had"
    np.testing.assert_array_equal(written.vectors[19], vector(19))


@pytest.mark.parametrize("damage", [b"", b"{", b"x" * 5000])
def test_torn(rows: Rows, path: Path, damage: bytes) -> None:
    whole = open_matrix(path, rows).vectors.copy()
    for content in (damage, path.read_bytes()[:-1]):
        path.write_bytes(content)
        np.testing.assert_array_equal(open_matrix(path, rows).vectors, whole)


def test_rows_of_a_restored_backup(rows: Rows, path: Path, add: Add) -> None:
    """A backup was restored, or the power failed: the rows differ after the same number of commits."""
    rows.close()
    saved = rows.path.read_bytes()
    for first in (100, 200):
        rows.path.write_bytes(saved)
        restored = Rows(rows.path)
        add(restored, 5, first)
        np.testing.assert_array_equal(open_matrix(path, restored).vectors[20], vector(first))
        restored.close()


def test_another_process_removes_the_file(rows: Rows, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, target: replace(self, target).unlink())
    assert len(open_matrix(path, rows).vectors) == 20


def test_pictures_without_files_are_left_out(rows: Rows, path: Path) -> None:
    rows.commit(gone=["/pictures/003.jpg"], sweep=False)  # and no more commits: the process was killed
    found = open_matrix(path, rows)
    assert rows.count() == len(found.ids) == len(found.vectors) == 19
    assert set(rows.held(found.ids.tolist())) == set(found.ids.tolist())
    np.testing.assert_array_equal(found.vectors[3], vector(4))


def test_read_only_folder(rows: Rows, tmp_path: Path) -> None:
    found = open_matrix(tmp_path / "no/such/folder/vectors.cache", rows)
    assert len(found.ids) == 20
    np.testing.assert_allclose(found.mean, found.vectors.mean(axis=0), atol=1e-6)


def alike(count: int) -> Matrix:
    """Vectors that differ much along few axes, and a little along all."""
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(count, 64)) * 0.8 ** np.arange(64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Matrix.of(1, np.arange(count), vectors)


def test_an_approximate_search_finds_nearly_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores are exact; the nearest are found if they are among the candidates."""
    searched = alike(20_000)
    assert searched.axes.shape == (64, 16)
    rng = np.random.default_rng(1)
    queries = searched.vectors[:20] + rng.normal(scale=0.02, size=(20, 64)).astype(np.float32)
    exact, exact_scores = searched.top_k(queries, 10)
    monkeypatch.setattr(matrix, "CANDIDATES", 200)
    places, scores = searched.top_k(queries, 10, approximate=True)
    assert places.shape == scores.shape == (20, 10)
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ searched.vectors.T, places, 1), atol=1e-5)
    assert np.mean([len(np.intersect1d(*both)) / 10 for both in zip(places, exact, strict=True)]) > 0.97
    among = np.arange(20_000) % 2 == 0
    places, _ = searched.top_k(queries, 10, among, approximate=True)
    assert among[places].all()
    monkeypatch.setattr(matrix, "CANDIDATES", 10)
    monkeypatch.setattr(matrix, "FOR_EACH", 1)
    fewer, few_scores = searched.top_k(queries, 10, approximate=True)
    assert (fewer != exact).any()
    assert (few_scores <= exact_scores + 1e-6).all()
    few = np.arange(20_000) < 50
    np.testing.assert_array_equal(
        searched.top_k(queries, 10, few, approximate=True)[0], searched.top_k(queries, 10, few)[0]
    )


def test_equal_pictures_of_an_approximate_search_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "CANDIDATES", 100)
    vectors = alike(5_000).vectors.copy()
    vectors[::7] = vectors[0]
    some = Matrix.of(1, np.arange(5_000), vectors)
    for k in (3, 10):  # more equal ones than candidates, so that all of them are scored
        assert some.top_k(vectors[:1], k, approximate=True)[0][0].tolist() == list(range(0, 7 * k, 7))
    same = Matrix.of(1, np.arange(5_000), np.broadcast_to(vectors[0], vectors.shape))
    assert same.top_k(vectors[:1], 3, approximate=True)[0][0].tolist() == [0, 1, 2]


def test_few_vectors_need_no_axes() -> None:
    assert alike(FEW * matrix.CANDIDATES).axes.size == 0
    assert alike(FEW * matrix.CANDIDATES + 1).axes.size > 0


def test_the_file_holds_the_axes(rows: Rows, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "CANDIDATES", 10)
    rows.close()
    path.unlink(missing_ok=True)
    create_rows(path.with_name("alike.sqlite"), 64)
    many, vectors = Rows(path.with_name("alike.sqlite")), alike(100).vectors
    many.commit(
        [Picture(b"%d" % number, one) for number, one in enumerate(vectors)],
        [File(f"/{number}", 1, 1, b"%d" % number) for number in range(100)],
    )
    for found in (open_matrix(path, many), open_matrix(path, many), open_matrix(path.parent / "none/there", many)):
        assert found.axes.shape == (64, 16)
        np.testing.assert_allclose(found.short, vectors @ found.axes, atol=1e-5)
        np.testing.assert_allclose(found.mean, vectors.mean(axis=0), atol=1e-6)


@fuzzed(150)
@given(damaged(b'{"version": 7, "count": 20, "embed_dim": 8, "axes": 0}'))
@example(b'{"versiop": 7, "count": 20, "embed_dim": 8, "axes": 0}')
def test_any_header_is_used_or_replaced(rows: Rows, path: Path, head: bytes) -> None:
    rows._db.execute("UPDATE facts SET value = 7 WHERE name = 'version'")
    expected = open_matrix(path, rows).vectors.copy()
    path.write_bytes(head.ljust(HEADER, b"\0") + path.read_bytes()[HEADER:])
    assert np.array_equal(open_matrix(path, rows).vectors, expected)


@pytest.mark.parametrize("head", [b'{"version": 1, "count": 1e999, "axes": 0}', b"[" * HEADER, b'{"axes": -1}'])
def test_a_header_that_no_program_writes(rows: Rows, path: Path, head: bytes) -> None:
    path.write_bytes(head.ljust(HEADER, b"\0"))
    assert len(open_matrix(path, rows).vectors) == 20
