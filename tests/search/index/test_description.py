"""Pictures that were indexed without facts get them from their headers."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imtext.search.facts import Facts
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
def test_each_picture_once(store: Store, commit_seconds: float) -> None:
    assert describe(store, commit_seconds) == 2
    assert list(store.facts(store.ids()).values()) == [Facts(40, 30, "2024-05-12T14:03:11")] * 2
    assert [Path(file.path).name for file in store.without_facts()] == ["gone.jpg"]
    version = store.version()
    assert describe(store, commit_seconds) == 0
    assert store.version() == version


def test_a_changed_file_is_left_for_its_own_update(store: Store, tmp_path: Path) -> None:
    os.utime(tmp_path / "b.jpg", (1, 1))
    assert describe(store, 100) == 1
    assert [Path(file.path).name for file in store.without_facts()] == ["b.jpg", "gone.jpg"]
