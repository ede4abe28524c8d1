"""Pictures that were indexed without facts or hashes get them from their files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imtext.preprocess import open_image
from imtext.search.facts import Facts
from imtext.search.hashing import hash_picture
from imtext.search.index.apply import no_progress
from imtext.search.index.description import describe
from imtext.search.store import File, Picture, Store, create_store
from tests.search.photos import photo


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three pictures without facts: `a.jpg` with a copy, `b.jpg`, and `gone.jpg`."""
    store = create_store(f"memory://{tmp_path}", 2)
    for name, content in (("a.jpg", b"a"), ("copy.jpg", b"a"), ("b.jpg", b"b"), ("gone.jpg", b"gone")):
        path = photo(tmp_path / name, taken="2024:05:12 14:03:11")
        file = replace(File.found(str(path), path.stat()), content=content)
        store.commit([Picture(content, np.ones(2, np.float32))], [file])
    (tmp_path / "gone.jpg").unlink()
    return store


@pytest.mark.parametrize("commit_seconds", [-1.0, 100.0])
def test_each_picture_once(store: Store, tmp_path: Path, commit_seconds: float) -> None:
    assert describe(store, 32, commit_seconds, no_progress) == 2
    facts = list(store.facts(store.ids()).values())
    digest = hash_picture(open_image(tmp_path / "a.jpg", 32))
    assert facts == [Facts(40, 30, "2024-05-12T14:03:11", hash=digest)] * 2
    assert [Path(file.path).name for file in store.without_facts()] == ["gone.jpg"]
    version = store.version()
    assert describe(store, 32, commit_seconds, no_progress) == 0
    assert store.version() == version


def test_a_changed_file_is_left_for_its_own_update(store: Store, tmp_path: Path) -> None:
    os.utime(tmp_path / "b.jpg", (1, 1))
    assert describe(store, 32, 100, no_progress) == 1
    assert [Path(file.path).name for file in store.without_facts()] == ["b.jpg", "gone.jpg"]
