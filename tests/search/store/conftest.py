"""Every store, empty, for vectors of eight numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imtext.search.store import File, Picture, Store, create_store, register_store
from imtext.search.store.records import Vectors
from tests.search.store.memory import SCHEME, MemoryStore

register_store(SCHEME, MemoryStore)

DIM = 8


@pytest.fixture(params=["sqlite", "lance", "memory"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that does not exist yet."""
    return f"{request.param}:///{tmp_path / 'store'}"


@pytest.fixture
def store(location: str) -> Store:
    return create_store(location, DIM)


@pytest.fixture
def add() -> Callable[..., None]:
    """Commit pictures number first … first + count - 1, each with one file."""

    def run(store: Store, count: int, first: int = 0) -> None:
        numbers = range(first, first + count)
        store.commit(
            [Picture(b"%d" % number, vector(number)) for number in numbers],
            [File(f"/pictures/{number:03}.jpg", 1, number, b"%d" % number) for number in numbers],
        )

    return run


def vector(seed: int) -> Vectors:
    """A vector ``[DIM]`` of unit length."""
    drawn = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn), dtype=np.float32)
