"""Curves are drawn, with and without points."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from imtext.evaluation.curves import draw_curves


def test_charts_lie_side_by_side(tmp_path: Path) -> None:
    lines = {"train": [(1, 2.0), (2, 1.0)], "validation": []}
    draw_curves({"loss": lines, "temperature": {}}, tmp_path / "two.png")
    draw_curves({"loss": lines}, tmp_path / "one.png", xlabel="alpha")
    with Image.open(tmp_path / "two.png") as two, Image.open(tmp_path / "one.png") as one:
        assert two.width == 2 * one.width
        assert two.height == one.height
