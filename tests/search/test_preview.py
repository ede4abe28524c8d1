"""Pictures in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from imtext.search.preview import COLUMNS, ROWS, can_preview, preview


def test_half_blocks(tmp_path: Path) -> None:
    Image.new("RGB", (50, 50), (255, 0, 0)).save(tmp_path / "red.png")
    shown = preview([str(tmp_path / "red.png"), str(tmp_path / "missing.png")])
    lines = shown.split("\n")
    assert len(lines) == ROWS
    for line in lines:
        assert line.count("▀") == 2 * COLUMNS
        assert line.count("\033[38;2;255;0;0m\033[48;2;255;0;0m▀") == COLUMNS
        assert line.count("\033[38;2;90;90;90m") == COLUMNS, "gray where a picture cannot be read"
        assert line.endswith("\033[0m ")


@pytest.mark.parametrize(("terminal", "colours", "expected"), [
    (True, "truecolor", True), (True, "24bit", True), (True, "", False), (False, "truecolor", False),
])  # fmt: skip
def test_can_preview(monkeypatch: pytest.MonkeyPatch, terminal: bool, colours: str, expected: bool) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("COLORTERM", colours)
    assert can_preview() == expected
