"""An index finds its pictures, gives the same results alone and in batches, and sees the commits of others."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imtext.errors import SearchError
from imtext.search import Bundle, Encoder, Index, Query, parse_query
from imtext.search.ranking import Scores
from imtext.search.store.sqlite import SQLiteStore
from tests.conftest import picture
from tests.search.index.conftest import similar


def test_first_time_and_again(index: Index, gallery: Path) -> None:
    report = index.update([str(gallery)])
    assert (report.added, report.removed, report.unchanged, len(index)) == (12, 0, 0, 12)
    report = index.update()  # what was indexed before
    assert (report.added, report.removed, report.unchanged) == (0, 0, 12)
    for path in sorted(gallery.rglob("*.png")):
        found = similar(index, path)
        assert (found.path, round(found.score, 4)) == (str(path), 1)


def test_vectors_are_those_of_the_pictures(index: Index, gallery: Path, encoder: Encoder) -> None:
    index.update([str(gallery)])
    ids = index.store.ids()
    held = index.store.held(ids)
    assert len(ids) == 12
    for number in ids:
        vector = index.store.vector_of(number)
        assert vector is not None
        pixels = index.bundle.preprocess.pixels(Image.open(held[number][0].path).convert("RGB"))
        np.testing.assert_allclose(vector, encoder.encode_images([pixels])[0], atol=1e-5)


def test_two_folders_do_not_know_each_other(index: Index, gallery: Path, tmp_path: Path) -> None:
    other = tmp_path / "gallery2"  # a name that begins like the other's
    other.mkdir()
    picture(other / "x.png", 50)
    index.update([str(gallery)])
    index.update([str(other)])
    assert len(index) == 13
    (other / "x.png").rename(tmp_path / "x.png")
    index.update([str(gallery)])
    assert len(index) == 13, "only the folder that was asked for is compared"


def test_readers_are_not_blocked(in_folder: Index, gallery: Path) -> None:
    index = in_folder
    index.update([str(gallery)])
    reader = Index(index.folder)
    assert len(reader.search(parse_query("red"), 20)) == 12
    assert isinstance(index.store, SQLiteStore)
    index.store._db.execute("BEGIN IMMEDIATE")  # a writer in the middle of a commit
    assert len(reader.search(parse_query("red"), 20)) == 12
    index.store._db.execute("ROLLBACK")
    picture(gallery / "new.png", 100)
    index.update()
    assert len(reader.search(parse_query("red"), 20)) == 13, "a reader sees what was committed"


def test_batches_and_bounds(index: Index, gallery: Path) -> None:
    index.update([str(gallery)])
    queries = [parse_query(text) for text in ("red", "blue - red", str(gallery / "00.png"))]
    together = index.search_batch(queries, 5)
    for query, results in zip(queries, together, strict=True):
        alone = {result.path: result.score for result in index.search(query, 12)}
        np.testing.assert_allclose(
            [alone[result.path] for result in results], [result.score for result in results], atol=1e-5
        )
        np.testing.assert_allclose([result.score for result in results], sorted(alone.values())[:-6:-1], atol=1e-5)
    assert together[0][0].relevance is not None
    assert together[2][0].relevance is None, "nothing was calibrated for pictures as queries"
    assert index.search(parse_query("red"), 5, min_relevance=1.0) == []
    with pytest.raises(SearchError, match="top_k must be between 1 and 1,000, not 0"):
        index.search(parse_query("red"), 0)


def test_rebuilt_by_another(index: Index, gallery: Path, bundle: Bundle) -> None:
    index.update([str(gallery)])
    server = Index(index.folder, follow=False)
    server.refresh()
    Index.create(index.folder, bundle, rebuild=True).update()
    with pytest.raises(SearchError, match="was rebuilt since it was opened; open it again"):
        index.update()
    with pytest.raises(SearchError, match="open it again"):
        index.search(parse_query("red"))
    assert server.replaced()
    assert len(server.search(parse_query("red"), 20)) == 12, "without follow it keeps what it had"


def test_read_from_a_folder_that_cannot_be_written(
    in_folder: Index, gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = in_folder
    index.update([str(gallery)])
    monkeypatch.setattr("os.access", lambda path, mode: False)
    reader = Index(index.folder)
    assert len(reader) == 12, "with what is committed, but not in the file itself yet"
    picture(gallery / "new.png", 100)
    index.update()
    assert len(reader.search(parse_query("red"), 20)) == 13


def test_read_from_a_mount_that_cannot_be_written(
    in_folder: Index, gallery: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files that SQLite needs beside the rows cannot be made."""
    index = in_folder
    index.update([str(gallery)])
    index.store.close()
    connect = sqlite3.connect

    def mounted(address: str, **options: object) -> sqlite3.Connection:
        if address.endswith("?mode=ro"):
            raise sqlite3.OperationalError("unable to open database file")
        return connect(address, **options)  # type: ignore[call-overload, no-any-return]

    with monkeypatch.context() as patched:
        patched.setattr("os.access", lambda path, mode: False)
        patched.setattr("sqlite3.connect", mounted)
        reader = Index(index.folder)
        assert len(reader.search(parse_query("red"), 20)) == 12
    picture(gallery / "new.png", 100)
    writer = Index(index.folder)
    writer.update()
    writer.store.close()
    assert reader.replaced()
    with pytest.raises(SearchError, match="open it again"):
        reader.search(parse_query("red"), 20)


def test_unknown_words_have_no_good_match(index: Index, gallery: Path) -> None:
    index.update([str(gallery)])
    assert {result.relevance for result in index.search(parse_query("xyzzy"))} == {0.0}
    assert index.search(parse_query("xyzzy"), min_relevance=0.01) == []


class LastFirst:
    """A re-ranker that reverses the order of the names."""

    depth = 12

    def __call__(self, query: Query, names: Sequence[str], scores: Scores) -> Scores:
        assert query.terms[0].text == "red"
        assert len(names) == len(scores) == 12, "it reads more candidates than there are results"
        return np.argsort(np.argsort(names)).astype(np.float32)


def test_a_reranker_orders_the_nearest(index: Index, gallery: Path) -> None:
    index.update([str(gallery)])
    plain = {result.path: result for result in index.search(parse_query("red"), 12)}
    results = Index(index.folder, reranker=LastFirst()).search(parse_query("red"), 3)
    assert [Path(result.path).name for result in results] == ["11.png", "10.png", "09.png"]
    assert [result.relevance for result in results] == [plain[result.path].relevance for result in results]


def test_an_index_that_was_deleted(index: Index, gallery: Path) -> None:
    index.update([str(gallery)])
    index.close()
    shutil.rmtree(index.folder)
    index.folder.mkdir()
    with pytest.raises(SearchError, match="open it again"):
        index.update()
