"""Tiny checkpoints of every layout, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.clip.folders import WRITERS


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: write_to(root / kind) for kind, write_to in WRITERS.items()}
