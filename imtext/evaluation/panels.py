"""Retrieval panels: pictures that show queries with their best results."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]
INK, PAPER, CORRECT, WRONG = (30, 30, 30), (255, 255, 255), (34, 150, 60), (200, 60, 50)
TILE, GAP, TEXT_WIDTH, HEADER = 128, 10, 250, 36  # pixels
LINE = 24  # pixels between captions that are results


@dataclass(frozen=True)
class PanelRow:
    """One query and its best results.

    Attributes:
        query: a caption or a picture.
        results: pictures for a caption, captions for a picture; best first, each with a flag that says whether it is
            correct.
        rank: rank of the first correct result; 1 is best.
    """

    query: str | Image.Image
    results: Sequence[tuple[str | Image.Image, bool]]
    rank: int


def retrieval_panel(rows: Sequence[PanelRow], title: str) -> Image.Image:
    """Draw one row for each query: the query, then its results in green (correct) or red (wrong).

    Args:
        rows: at least one; either all results are pictures or all are captions.
        title: printed above the rows.
    """
    columns = max(len(row.results) for row in rows)
    results_are_text = isinstance(rows[0].results[0][0], str)
    width = TEXT_WIDTH + (2 * TEXT_WIDTH if results_are_text else columns * (TILE + GAP)) + 2 * GAP
    panel = Image.new("RGB", (width, HEADER + len(rows) * (TILE + GAP)), PAPER)
    canvas = ImageDraw.Draw(panel)
    canvas.text((GAP, 8), title, INK, _font(15))
    for number, row in enumerate(rows):
        top = HEADER + number * (TILE + GAP)
        _draw_query(panel, canvas, row, top, columns)
        _draw_results(panel, canvas, row, top)
    return panel


def _draw_query(panel: Image.Image, canvas: ImageDraw.ImageDraw, row: PanelRow, top: int, columns: int) -> None:
    """The query, and below or beside it the rank of the first correct result."""
    if isinstance(row.query, str):
        left = GAP
        _draw_text(canvas, (left, top + 6), row.query, 34, INK, 6)
    else:
        left = GAP + TILE + 8
        panel.paste(row.query.resize((TILE, TILE)), (GAP, top))
    label = "first" if row.rank == 1 else f"rank {row.rank:,}"
    canvas.text((left, top + TILE - 18), label, CORRECT if row.rank <= columns else WRONG, _font(12))


def _draw_results(panel: Image.Image, canvas: ImageDraw.ImageDraw, row: PanelRow, top: int) -> None:
    for column, (result, correct) in enumerate(row.results):
        color = CORRECT if correct else WRONG
        if isinstance(result, str):
            text = ("✓ " if correct else "✗ ") + result
            _draw_text(canvas, (TEXT_WIDTH, top + 4 + column * LINE), text, 78, color, 1)
        else:
            left = TEXT_WIDTH + column * (TILE + GAP)
            panel.paste(result.resize((TILE, TILE)), (left, top))
            canvas.rectangle((left, top, left + TILE - 1, top + TILE - 1), outline=color, width=4)


def _draw_text(
    canvas: ImageDraw.ImageDraw, position: tuple[int, int], text: str, width: int, color: Color, lines: int
) -> None:
    """Text wrapped at `width` characters; what does not fit into `lines` lines is cut."""
    shown = textwrap.wrap(text, width)[:lines] or [""]
    if len(" ".join(shown)) < len(" ".join(text.split())):
        shown[-1] = shown[-1][: width - 2] + " …"
    canvas.multiline_text(position, "\n".join(shown), color, _font(12), spacing=3)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans, which comes with matplotlib and contains ✓ and ✗; Pillow's default font does not."""
    from matplotlib import font_manager

    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)
