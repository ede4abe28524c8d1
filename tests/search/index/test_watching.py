"""Changes of files on a real disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from watchfiles import Change

from imtext.search.index import watching


def test_every_beginning_and_every_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "QUIET", 50)
    monkeypatch.setattr(watching, "LOOK", 100)
    folder = tmp_path / "pictures"
    folder.mkdir()
    found = watching.changes(tmp_path / "index", lambda: [str(folder)])
    next(found)
    (folder / "a.png").touch()
    next(found)
    shutil.rmtree(folder)
    next(found)
    while watching._present([str(folder)]) != {}:
        next(found)
    folder.mkdir()
    next(found)
    (folder / "b.png").touch()
    next(found)


def test_what_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def watch(*paths: str, watch_filter: Any, **_: Any) -> Iterator[set[Any]]:
        asked.update(paths=paths, counts=watch_filter)
        yield set()

    monkeypatch.setattr(watching, "watch", watch)
    (tmp_path / "new folder").mkdir()
    (tmp_path / "list.txt").touch()
    sources = [str(tmp_path), str(tmp_path / "list.txt"), str(tmp_path / "gone")]
    next(watching.changes(tmp_path / "index", lambda: sources))
    assert asked["paths"] == tuple(sources[:2])
    counts = {
        name: asked["counts"](change, str(tmp_path / name))
        for name, change in (
            ("a.jpg", Change.modified), ("new folder", Change.added), ("list.txt", Change.modified),
            ("folder that is gone", Change.deleted), ("notes.txt", Change.modified), ("index/a.jpg", Change.added),
            ("index/db", Change.deleted),
        )
    }  # fmt: skip
    assert [name for name in counts if not counts[name]] == ["notes.txt", "index/a.jpg", "index/db"]


def test_the_folder_of_a_pattern(tmp_path: Path) -> None:
    assert list(watching._present([str(tmp_path / "20*" / "*.jpg"), str(tmp_path / "gone")])) == [str(tmp_path)]
