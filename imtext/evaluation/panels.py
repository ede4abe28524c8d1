"""Results that people would rather see than read: retrieval panels and curves."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

INK, PAPER, RIGHT, WRONG = (30, 30, 30), (255, 255, 255), (34, 150, 60), (200, 60, 50)
TILE, GAP, LABEL = 128, 10, 250  # pixels


@dataclass(frozen=True)
class Answer:
    """One search and its best results.

    Attributes:
        query: a caption or a picture.
        results: pictures (for a caption) or captions (for a picture), best first, and whether each is correct.
        rank: of the first correct one, 1 is best.
    """

    query: str | Image.Image
    results: Sequence[tuple[str | Image.Image, bool]]
    rank: int


def retrieval_panel(answers: Sequence[Answer], title: str) -> Image.Image:
    """A picture with a row for each answer: the query, then its results framed green (correct) or red."""
    columns = max(len(answer.results) for answer in answers)
    text_results = isinstance(answers[0].results[0][0], str)
    width = LABEL + (2 * LABEL if text_results else columns * (TILE + GAP)) + 2 * GAP
    panel = Image.new("RGB", (width, 36 + len(answers) * (TILE + GAP)), PAPER)
    canvas = ImageDraw.Draw(panel)
    canvas.text((GAP, 8), title, INK, _font(15))
    for row, answer in enumerate(answers):
        y = 36 + row * (TILE + GAP)
        if isinstance(answer.query, str):
            _text(canvas, GAP, y + 6, answer.query, 34, INK, 6)
        else:
            panel.paste(answer.query.resize((TILE, TILE)), (GAP, y))
        place = "first" if answer.rank == 1 else f"rank {answer.rank:,}"
        x = GAP if isinstance(answer.query, str) else GAP + TILE + 8
        canvas.text((x, y + TILE - 18), place, RIGHT if answer.rank <= columns else WRONG, _font(12))
        for column, (result, correct) in enumerate(answer.results):
            color = RIGHT if correct else WRONG
            if isinstance(result, str):
                _text(canvas, LABEL, y + 4 + column * 24, ("✓ " if correct else "✗ ") + result, 78, color, 1)
            else:
                left = LABEL + column * (TILE + GAP)
                panel.paste(result.resize((TILE, TILE)), (left, y))
                canvas.rectangle((left, y, left + TILE - 1, y + TILE - 1), outline=color, width=4)
    return panel


def draw_curves(curves: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], path: Path) -> None:
    """Save line charts side by side: title → line → (x, y) points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(curves), 3.2), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        for name, points in lines.items():
            axes.plot(
                [x for x, _ in points], [y for _, y in points], label=name, marker="." if len(points) < 40 else ""
            )
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        if lines:
            axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def _text(
    canvas: ImageDraw.ImageDraw, x: int, y: int, text: str, width: int, color: tuple[int, int, int], lines: int
) -> None:
    shown = textwrap.wrap(text, width)[:lines] or [""]
    if len(" ".join(shown)) < len(" ".join(text.split())):
        shown[-1] = shown[-1][: width - 2] + " …"
    canvas.multiline_text((x, y), "\n".join(shown), color, _font(12), spacing=3)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans, which comes with matplotlib and has ✓ and ✗; Pillow's own has not."""
    from matplotlib import font_manager

    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)
