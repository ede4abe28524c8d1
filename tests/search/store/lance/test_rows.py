from __future__ import annotations

from collections.abc import Callable

import pytest

from imtext.errors import StoreError
from imtext.search.store import File
from imtext.search.store.lance import LanceStore, rows


def test_commits_of_others_are_seen(lance: LanceStore, url: str, add: Callable[..., None]) -> None:
    reader = LanceStore.open(url)
    add(lance, 2)
    assert reader.count() == 2
    assert reader.known([b"0", b"7"]) == {b"0"}


def test_an_object_store_is_not_asked_for_every_row(
    lance: LanceStore, url: str, add: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "is_elsewhere", lambda location: True)
    monkeypatch.setattr(rows, "LOOK_SECONDS", 1_000)
    reader = LanceStore.open(url)
    add(lance, 2)
    assert reader.count() == 0
    assert reader.refresh(), "which always looks"
    assert reader.count() == 2
    lance.commit(gone=["/pictures/000.jpg"])
    assert reader.count() == 2
    monkeypatch.setattr(rows, "LOOK_SECONDS", 0)
    assert reader.count() == 1


def test_a_table_that_is_gone(lance: LanceStore, add: Callable[..., None]) -> None:
    add(lance, 1)
    last = lance._last.state
    lance._db.drop_table(f"files_{last.generation}")
    with pytest.raises(StoreError, match=r"lance:///.* cannot be (read|written): "):
        lance.commit(files=[File("/pictures/000.jpg", 2, 2, b"0")])
