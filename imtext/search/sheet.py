"""A page that shows search results with their pictures, in one HTML file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from imtext.preprocess import open_image
from imtext.search.files import is_remote, picture_of
from imtext.search.results import SearchResult, percent

TILE = 320  # pixels, the longer side of a picture on the page


def contact_sheet(answers: Sequence[tuple[str, Sequence[SearchResult]]]) -> str:
    """An HTML page with the results of each query; thumbnails are embedded, so it can be sent to others.

    Args:
        answers: pairs of a query and its results, best first.
    """
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
    thumbnail = _thumbnail(result.path)
    picture = f'<img src="data:image/jpeg;base64,{thumbnail}" alt="" loading="lazy">' if thumbnail else ""
    name = html.escape(_printable(path.name))
    link = html.escape(result.path if is_remote(result.path) else path.absolute().as_uri()) if thumbnail else ""
    note = "" if thumbnail else "<br><small>file not found</small>"
    words = "".join(f"<br><small>in: {name}</small>" for name in result.found_by if name != "picture")
    copies = f"<br><small>copies: {len(result.copies)}</small>" if result.copies else ""
    return (
        f'<li><a href="{link}">{picture}</a><div><b title="score {result.score:.3f}">{percent(result.relevance)}</b>'
        f"{place}. {name}{note}{words}{copies}</div></li>"
    )


def _thumbnail(path: str) -> str:
    try:
        image = open_image(picture_of(path), TILE)
    except (OSError, ValueError):
        return ""
    image.thumbnail((TILE, TILE))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=82)
    return base64.b64encode(encoded.getvalue()).decode()


def _printable(name: str) -> str:
    """A file name as printable text on one line."""
    shown = "".join(character if character.isprintable() else "�" for character in name)
    return shown.encode("utf-8", "replace").decode()
