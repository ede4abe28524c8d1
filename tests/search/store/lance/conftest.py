"""An empty store in tables of Lance, in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.search.store.lance import LanceStore
from tests.search.store.conftest import DIM


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"lance://{tmp_path / 'tables'}"


@pytest.fixture
def lance(url: str) -> LanceStore:
    return LanceStore.create(url, DIM, "model one")
