"""Panels: size and colours for both directions."""

from __future__ import annotations

import pytest
from PIL import Image

from imtext.evaluation.panels import CORRECT, GAP, HEADER, TEXT_WIDTH, TILE, WRONG, PanelRow, retrieval_panel

PICTURE = Image.new("RGB", (40, 30), (0, 0, 255))


def test_pictures_are_framed_by_correctness() -> None:
    row = PanelRow("a dog " * 100, [(PICTURE, True), (PICTURE, False)], rank=1)
    panel = retrieval_panel([row, row], "text to image")
    assert panel.size == (TEXT_WIDTH + 2 * (TILE + GAP) + 2 * GAP, HEADER + 2 * (TILE + GAP))
    assert panel.getpixel((TEXT_WIDTH + 1, HEADER + 1)) == CORRECT
    assert panel.getpixel((TEXT_WIDTH + TILE + GAP + 1, HEADER + 1)) == WRONG
    assert panel.getpixel((TEXT_WIDTH + TILE // 2, HEADER + TILE // 2)) == (0, 0, 255)


@pytest.mark.parametrize(("correct", "color"), [(True, CORRECT), (False, WRONG)])
def test_captions_are_coloured_by_correctness(correct: bool, color: tuple[int, int, int]) -> None:
    panel = retrieval_panel([PanelRow(PICTURE, [("a dog", correct)], rank=1 if correct else 12_345)], "image to text")
    results = panel.crop((TEXT_WIDTH, HEADER, panel.width, panel.height))
    assert color in {pixel for _, pixel in results.getcolors(100_000) or []}
