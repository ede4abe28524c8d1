from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from imtext.errors import MissingExtraError, SearchError, StoreError
from imtext.search.store.lance import LanceStore
from imtext.search.store.lance.tables import connect, errors, literal, normal, path_of, path_text, rows_with


def test_urls(tmp_path: Path) -> None:
    assert normal("lance:////tmp//a/../b/") == "lance:///tmp/a/../b" or normal("lance:////tmp/b/") == "lance:///tmp/b"
    assert normal("lance+s3://bucket/a/b/") == "lance+s3://bucket/a/b"
    with pytest.raises(SearchError, match=r"names no folder: write lance:///absolute/folder"):
        connect("lance://relative", make=True)
    with pytest.raises(SearchError, match=r"names no bucket: write lance\+s3://bucket/prefix"):
        connect("lance+s3://", make=True)
    with pytest.raises(SearchError, match="There is no index in"):
        connect(f"lance://{tmp_path / 'none'}")
    assert not (tmp_path / "none").exists(), "looking for an index makes no folder"


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(MissingExtraError, match=r'pip install "imtext\[lance\]"'):
        connect(f"lance://{tmp_path}", make=True)


def test_errors_are_one_line() -> None:
    with pytest.raises(StoreError, match=r"^here cannot be read: lance error: no such file$"), errors("here", "read"):
        raise RuntimeError("lance error: no\n such file, /root/.cargo/registry/src/x.rs:1")


def test_literals() -> None:
    assert (literal("it's"), literal(5)) == ("'it''s'", "5")
    for path in ("/new\nline", "/not utf-8 \udcff", "/🐕"):
        assert path_of(path_text(path)) == path
    assert path_text("/a\udcff") > path_text("/a🐕") > path_text("/az"), "they sort as bytes"


def test_many_values_are_found_as_few_are(lance: LanceStore, add: Callable[..., None]) -> None:
    add(lance, 30)
    table = lance._latest().pictures
    few = rows_with(table, "id", [3, 29, 99], ["id"])["id"].to_pylist()
    many = rows_with(table, "id", [3, 29, *range(99, 2_000)], ["id"])["id"].to_pylist()
    assert sorted(few) == sorted(many) == [3, 29]
    assert len(rows_with(table, "content", [], ["id"])) == 0
