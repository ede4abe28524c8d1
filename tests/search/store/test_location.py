"""Folders and URLs name stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.errors import SearchError
from imtext.search.store import create_store, link_store, open_store, store_exists
from imtext.search.store.location import belongs_to_store, store_url


def test_a_folder_holds_a_sqlite_store(tmp_path: Path) -> None:
    assert not store_exists(tmp_path)
    made = create_store(tmp_path, 8)
    assert store_exists(tmp_path)
    assert store_exists(str(tmp_path))
    assert open_store(tmp_path).location == made.location == f"sqlite:///{tmp_path}/index.sqlite"


@pytest.mark.parametrize("url", ["memory:///linked", "sqlite:///{}/elsewhere/my.sqlite"])
def test_a_folder_names_another_store(tmp_path: Path, url: str) -> None:
    url = url.format(tmp_path)
    folder = tmp_path / "index"
    folder.mkdir()
    link_store(folder, url)
    assert not store_exists(folder)
    made = create_store(folder, 8)
    assert store_exists(folder)
    assert made.location == open_store(folder).location == store_url(folder) == url
    assert [path.name for path in folder.iterdir()] == ["store.url"]


def test_an_unknown_scheme() -> None:
    with pytest.raises(
        SearchError,
        match=r"a folder, or a URL that begins with lance://, lance\+s3://, memory://, shards://, sqlite://",
    ):
        open_store("postgres://localhost/pictures")


def test_files_in_the_folder_of_an_index() -> None:
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite.fresh", "vectors.cache.12.1", "store.url"):
        assert belongs_to_store(name)
    assert not belongs_to_store("photo.jpg")
