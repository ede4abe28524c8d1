"""Results to look at: a page with all pictures, and a preview in the terminal."""

from __future__ import annotations

import base64
import html
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from imtext.preprocess import open_image
from imtext.search.results import SearchResult

TILE = 320  # pixels, the longer side of a picture on the page
COLUMNS, ROWS = 28, 9  # characters of a preview


def percent(relevance: float | None) -> str:
    """``0.873`` → ``87 %``; a dash where nothing is known."""
    return "–" if relevance is None else f"{100 * relevance:.0f} %"


def contact_sheet(answers: Sequence[tuple[str, Sequence[SearchResult]]]) -> str:
    """A page of its own, with the pictures inside, for each query and its results."""
    sections = []
    for query, results in answers:
        tiles = "".join(_tile(place, result) for place, result in enumerate(results, start=1))
        body = f"<ol>{tiles}</ol>" if results else "<p>No good match.</p>"
        sections.append(f"<section><h2>{html.escape(query)}</h2>{body}</section>")
    title = html.escape(", ".join(query for query, _ in answers)[:80])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<body>{''.join(sections)}</body></html>\n"
    )


_STYLE = """
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 1280px; padding: 0 1rem }
h2 { font-weight: 600 }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: 1rem; padding: 0 }
li { list-style: none; border-radius: 10px; overflow: hidden; background: color-mix(in srgb, canvastext 7%, canvas) }
img { display: block; width: 100%; height: 190px; object-fit: cover }
div { padding: .5rem .7rem .7rem; overflow-wrap: anywhere }
b { float: right; font-variant-numeric: tabular-nums }
small { opacity: .7 }
"""


def _tile(place: int, result: SearchResult) -> str:
    path = Path(result.path)
    thumbnail = _thumbnail(path)
    picture = f'<img src="data:image/jpeg;base64,{thumbnail}" alt="" loading="lazy">' if thumbnail else ""
    name = html.escape(_printable(path.name))
    link = html.escape(path.absolute().as_uri()) if thumbnail else ""
    note = "" if thumbnail else "<br><small>no longer there</small>"
    copies = f"<br><small>and {len(result.copies)} more of the same</small>" if result.copies else ""
    return (
        f'<li><a href="{link}">{picture}</a><div><b title="score {result.score:.3f}">{percent(result.relevance)}</b>'
        f"{place}. {name}{note}{copies}</div></li>"
    )


def _thumbnail(path: Path) -> str:
    try:
        image = open_image(path, TILE)
    except ValueError:
        return ""
    image.thumbnail((TILE, TILE))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=82)
    return base64.b64encode(encoded.getvalue()).decode()


def can_preview() -> bool:
    """Does the terminal show 24-bit colours?"""
    return sys.stdout.isatty() and os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")


def preview(paths: Sequence[str]) -> str:
    """Pictures side by side as half-blocks of colour, two pixels a character."""
    tiles = []
    for path in paths:
        try:
            image = ImageOps.fit(open_image(Path(path), 64), (COLUMNS, 2 * ROWS))
        except ValueError:
            image = Image.new("RGB", (COLUMNS, 2 * ROWS), (90, 90, 90))
        tiles.append(np.asarray(image))
    lines = []
    for y in range(0, 2 * ROWS, 2):
        cells = []
        for tile in tiles:
            for x in range(COLUMNS):
                (r, g, b), (r2, g2, b2) = tile[y, x], tile[y + 1, x]
                cells.append(f"\033[38;2;{r};{g};{b}m\033[48;2;{r2};{g2};{b2}m▀")
            cells.append("\033[0m ")
        lines.append("".join(cells))
    return "\n".join(lines)


def _printable(name: str) -> str:
    """A file name of any bytes, fit to be shown on one line."""
    shown = "".join(one if one.isprintable() else "�" for one in name)
    return shown.encode("utf-8", "replace").decode()
