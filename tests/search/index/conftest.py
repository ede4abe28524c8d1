"""An empty index, in every store."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.search import Bundle, Index, SearchResult, parse_query
from imtext.search.store import register_store
from tests.search.store.memory import SCHEME, MemoryStore

register_store(SCHEME, MemoryStore)


@pytest.fixture
def in_folder(bundle: Bundle, tmp_path: Path) -> Index:
    """With its store in its folder, which is the default."""
    return Index.create(tmp_path / "index", bundle)


@pytest.fixture(params=["folder", "lance", "memory"])
def index(request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path) -> Index:
    """With its store in its folder, in tables of Lance, or in memory."""
    store = {"memory": f"memory://{tmp_path}", "lance": f"lance://{tmp_path / 'tables'}"}.get(request.param)
    return Index.create(tmp_path / "index", bundle, store=store)


def names(index: Index) -> list[str]:
    """The pictures of all files in the index, in order of path."""
    return [Path(file.path).name for file in index.store.files() if not file.reason]


def similar(index: Index, path: Path) -> SearchResult:
    """The picture most like a picture."""
    return index.search(parse_query(str(path)), 1)[0]
