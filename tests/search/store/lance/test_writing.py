from __future__ import annotations

from collections.abc import Callable

import pytest

from imtext.errors import StoreError
from imtext.search.facts import Facts
from imtext.search.store import File, Picture
from imtext.search.store.lance import LanceStore
from imtext.search.store.lance.writing import plan
from tests.search.store.conftest import vector

Add = Callable[..., None]


def test_only_what_changes_is_written(lance: LanceStore, add: Add) -> None:
    add(lance, 10)
    same = File("/pictures/003.jpg", 1, 3, b"3")
    changes = plan(lance._latest(), [], [same], [], True, {}, {})
    assert ([row["path"] for row in changes.files], changes.rows) == (["/pictures/003.jpg"], [])
    moved = File("/pictures/new.jpg", 1, 3, b"3")
    changes = plan(lance._latest(), [], [moved], ["/pictures/003.jpg"], True, {}, {})
    assert [row["id"] for row in changes.rows] == [4], "its names are others"
    assert changes.dropped == {"/pictures/003.jpg"}
    changes = plan(lance._latest(), [], [], ["/pictures/003.jpg"], False, {}, {})
    assert changes.state is not None
    assert (changes.rows, changes.rewritten, changes.state.unheld) == ([], set(), [4])
    assert plan(lance._latest(), [], [], ["/unknown"], True, {}, {}).state is None


def test_the_first_of_two_pictures_with_one_content(lance: LanceStore) -> None:
    lance.commit([Picture(b"a", vector(0)), Picture(b"b", vector(1)), Picture(b"a", vector(2))], [
        File("/a", 1, 1, b"a"), File("/b", 1, 1, b"b"),
    ])  # fmt: skip
    assert lance.ids() == [1, 2]
    assert lance.vector_of(1).tolist() == vector(0).tolist()  # type: ignore[union-attr]


def test_a_file_without_a_picture(lance: LanceStore) -> None:
    with pytest.raises(StoreError, match=r"/a has no picture\. Nothing was changed"):
        lance.commit(files=[File("/a", 1, 1, b"a")])


def test_a_new_source_renames_what_is_below_it_only(lance: LanceStore) -> None:
    lance.remember(["/p"])
    lance.commit(
        [Picture(b"a", vector(0)), Picture(b"b", vector(1))],
        [File("/p/Lisbon/tram/1.jpg", 1, 1, b"a"), File("/p/Porto/2.jpg", 1, 1, b"b")],
        facts={b"a": Facts(), b"b": Facts()},
    )
    assert {match.id for match in lance.find_words(["Lisbon", "Porto"], 5)} == {1, 2}
    lance.remember(["/p/Lisbon"], forget=["/p"])
    assert [match.id for match in lance.find_words(["Lisbon", "Porto"], 5)] == [2]
    assert [match.id for match in lance.find_words(["tram"], 5)] == [1]
