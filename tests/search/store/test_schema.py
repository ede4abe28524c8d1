"""Files of earlier versions: readable as they are, upgraded by the first commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from imtext.search.facts import Facts
from imtext.search.store import File
from imtext.search.store.schema import FACTS, HASHES, WORDS, create_rows, has
from imtext.search.store.sqlite import SQLiteStore
from tests.search.store.conftest import DIM


@pytest.fixture
def path(tmp_path: Path, add: Callable[..., None]) -> Path:
    """Three pictures, as the first version wrote them."""
    path = tmp_path / "index.sqlite"
    store = SQLiteStore.create(f"sqlite:///{path}", DIM)
    add(store, 3)
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE picture_facts")
        connection.execute("DROP TRIGGER words_of_pictures")
        connection.execute("DROP TABLE words")
        for column in ("ctime_ns", "inode"):
            connection.execute(f"ALTER TABLE files DROP COLUMN {column}")
    connection.close()
    return path


@pytest.fixture
def with_facts(tmp_path: Path, add: Callable[..., None]) -> Path:
    """Three pictures with facts, as the version before words wrote them."""
    path = tmp_path / "index.sqlite"
    store = SQLiteStore.create(f"sqlite:///{path}", DIM)
    add(store, 3)
    store.commit(facts={b"%d" % number: Facts(3, 2) for number in range(3)})
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER words_of_pictures")
        connection.execute("DROP TABLE words")
    connection.close()
    return path


def upgraded(path: Path) -> bool:
    with sqlite3.connect(path) as connection:
        return all(has(connection, addition) for addition in (FACTS, HASHES, WORDS))


def test_read_without_an_upgrade(path: Path) -> None:
    store = SQLiteStore(path)
    ids = store.ids()
    assert [file.path for file in store.files()] == [f"/pictures/00{number}.jpg" for number in range(3)]
    assert (len(store.held(ids)), store.facts(ids), len(store.without_facts())) == (3, {}, 3)
    assert not upgraded(path)


def test_upgraded_by_the_first_commit(path: Path) -> None:
    store, reader = SQLiteStore(path), SQLiteStore(path)
    ids = reader.ids()
    assert reader.facts(ids) == {}
    store.commit(files=[File("/pictures/001.jpg", 1, 1, b"1", ctime_ns=5, inode=7)], facts={b"1": Facts(3, 2)})
    assert upgraded(path)
    assert reader.facts(ids) == {ids[1]: Facts(3, 2)}, "also those that were open"
    assert [(file.ctime_ns, file.inode) for file in reader.files()] == [(0, 0), (5, 7), (0, 0)]
    assert [file.content for file in reader.without_facts()] == [b"0", b"1", b"2"]
    store.commit(facts={b"1": Facts(3, 2, hash=b"")})
    assert [file.content for file in reader.without_facts()] == [b"0", b"2"]


def test_a_file_without_hashes(path: Path) -> None:
    """As an earlier state of this version wrote it: its facts stay."""
    SQLiteStore(path).commit(facts={b"1": Facts(3, 2)})
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE picture_facts DROP COLUMN hash")
    connection.close()
    store = SQLiteStore(path)
    ids = store.ids()
    assert (store.facts(ids), len(store.without_facts())) == ({ids[1]: Facts(3, 2)}, 3)
    store.commit(facts={b"0": Facts(hash=b"h"), b"2": Facts(hash=b"")})
    assert store.facts(ids) == {ids[0]: Facts(hash=b"h"), ids[1]: Facts(3, 2), ids[2]: Facts(hash=b"")}
    assert [file.content for file in store.without_facts()] == [b"1"]


def test_upgraded_by_opening_for_writing(path: Path) -> None:
    create_rows(path, DIM)
    assert upgraded(path)
    assert SQLiteStore(path).count() == 3


def test_pictures_without_words_are_described_again(with_facts: Path) -> None:
    store = SQLiteStore(with_facts)
    ids = store.ids()
    assert (store.find_words(["001"], 10), len(store.without_facts()), store.without_text()) == ([], 3, [])
    assert store.facts(ids) == dict.fromkeys(ids, Facts(3, 2)), "what is there is read"
    tram = Facts(3, 2, hash=b"", title="A tram")
    store.commit(facts={b"1": tram})
    assert [found.id for found in store.find_words(["001"], 10)] == [ids[1]]
    assert [file.content for file in store.without_facts()] == [b"0", b"2"]
    assert store.facts(ids) == {id: tram if id == ids[1] else Facts(3, 2) for id in ids}
