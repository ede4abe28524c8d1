"""An index of twelve drawings, and `imtext mcp` as a process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from mcp.client.stdio import StdioServerParameters

from imtext.search import Bundle, Index
from tests.conftest import picture


@pytest.fixture(scope="session")
def index(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawings in `holiday/`, and their index beside it."""
    folder = tmp_path_factory.mktemp("agents")
    (folder / "holiday").mkdir()
    for number in range(12):
        path = picture(folder / "holiday" / f"{number:02}.png", number)
        os.utime(path, (86_400 * (number + 1), 86_400 * (number + 1)))
    Index.create(folder / "index", bundle).update([str(folder / "holiday")])
    return folder / "index"


@pytest.fixture(scope="session")
def process(index: Path) -> StdioServerParameters:
    """How an agent starts the tools."""
    args = ["-m", "imtext", "mcp", "--index", str(index)]
    return StdioServerParameters(command=sys.executable, args=args, env=dict(os.environ))
