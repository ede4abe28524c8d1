"""The full-text table in SQLite: ranking, common words, trigger, names of any bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from imtext.search.facts import Facts
from imtext.search.store import File, Picture
from imtext.search.store.full_text import phrase
from imtext.search.store.sqlite import SQLiteStore
from tests.search.store.conftest import DIM, vector


@pytest.fixture
def store(tmp_path: Path, add: Callable[..., None]) -> SQLiteStore:
    store = SQLiteStore.create(f"sqlite:///{tmp_path / 'index.sqlite'}", DIM)
    add(store, 4)
    return store


def test_a_rare_word_counts_more_and_so_does_a_title(store: SQLiteStore) -> None:
    texts = [Facts(caption="tram"), Facts(title="tram"), Facts(caption="anna"), Facts(caption="tram")]
    store.commit(facts={b"%d" % number: one for number, one in enumerate(texts)})
    ids = store.ids()
    assert [found.id for found in store.find_words(["tram"], 9)] == [ids[1], ids[0], ids[3]]
    assert [found.id for found in store.find_words(["tram", "anna"], 9)] == [ids[2], ids[1], ids[0], ids[3]]


def test_words_of_very_many_pictures_do_not_count(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit(facts={b"%d" % number: Facts(title="tram" if number else "tram anna") for number in range(4)})
    monkeypatch.setattr("imtext.search.store.full_text.COMMON", 3)
    assert store.find_words(["tram"], 9) == []
    assert [(found.id, found.share) for found in store.find_words(["tram", "anna"], 9)] == [(store.ids()[0], 1.0)]


def test_rows_go_with_their_pictures(store: SQLiteStore) -> None:
    store.commit(facts={b"0": Facts(title="tram")})
    store.commit(gone=["/pictures/000.jpg"], sweep=False)
    assert store.match_words(["tram"])
    assert store.find_words(["tram"], 9) == [], "no file has it any more"
    store.commit()
    assert store.match_words(["tram"]) == []


def test_texts_alone_make_no_new_version(store: SQLiteStore) -> None:
    store.commit(facts={b"0": Facts()})
    version = store.version()
    store.commit(texts={b"0": "BAKERY"})
    assert store.version() == version
    assert len(store.find_words(["bakery"], 9)) == 1


def test_names_of_any_bytes(store: SQLiteStore) -> None:
    path = os.fsdecode(b"/pictures/caf\xe9 tram.jpg")
    store.commit([Picture(b"odd", vector(9))], [File(path, 1, 1, b"odd")], facts={b"odd": Facts()})
    assert len(store.find_words(["tram"], 9)) == 1


def test_phrases_are_quoted() -> None:
    assert phrase('a "b" c\0') == '"a ""b"" c "'
