"""What an update writes down for programs that only read the index."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from imtext.search import Bundle, Index
from imtext.search.index.journal import JOURNAL, STALE_SECONDS, Journal, Update, read_update
from tests.conftest import picture


def test_an_update_says_what_it_does_and_what_it_left_out(bundle: Bundle, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "@eaDir").mkdir(parents=True)
    for number in range(3):
        picture(photos / f"{number}.png", number)
    (photos / "broken.jpg").write_bytes(b"nothing")
    (photos / "film.mov").write_bytes(b"\0\0\0\x14ftypqt  \0\0\0\0qt  ")
    index = Index.create(tmp_path / "index", bundle)
    assert read_update(index.folder) == Update()
    seen: list[Update] = []
    index.update([str(photos)], lambda done, total, path: seen.append(read_update(index.folder)))
    assert {one.running for one in seen} == {True}
    update = read_update(index.folder)
    assert (update.running, update.types, update.skipped) == (False, {"MOV": 1}, {"@eaDir": 1})
    assert list(update.refused.values()) == [1]
    index.update()
    assert read_update(index.folder) == update, "a file that was refused before counts, too"


def test_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imtext.search.index.journal.WRITE_SECONDS", -1)
    journal, told = Journal(tmp_path), []
    with journal.running():
        assert read_update(tmp_path) == Update(running=True)
        journal.follow(lambda *told_: told.append(told_))(3, 8, "/a.jpg")
        assert read_update(tmp_path) == Update(running=True, done=3, total=8)
    assert told == [(3, 8, "/a.jpg")]


def test_failed_and_killed_updates_do_not_run(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Journal(tmp_path).running():
        raise KeyError
    assert not read_update(tmp_path).running
    with Journal(tmp_path).running():
        path = tmp_path / JOURNAL
        silent = path.stat().st_mtime - STALE_SECONDS - 1
        os.utime(path, (silent, silent))
        assert not read_update(tmp_path).running


@pytest.mark.parametrize("content", ["", "[]", json.dumps({"colour": 1})])
def test_an_unreadable_journal_says_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / JOURNAL).write_text(content)
    assert read_update(tmp_path) == Update()


def test_a_journal_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "missing").running():
        pass
