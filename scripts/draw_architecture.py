"""Draw the packages of the code and the imports between them: ``python scripts/draw_architecture.py``.

The picture is generated from the import graph. A test compares the committed file with a new drawing.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from html import escape
from pathlib import Path

import grimp

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "architecture.svg"
LEFT_OUT = {"imtext", "imtext.__main__", "imtext.errors"}  # nearly everything imports errors
SPLIT = ("imtext.search",)  # packages whose subpackages are drawn separately
BOX, GAP, FLOOR = (138, 36), 12, 80  # pixels

STYLE = """
svg { font: 15px system-ui, sans-serif; background: #fff }
rect { fill: #f3f3fb; stroke: #5b5bd6; stroke-width: 1.4 }
.search rect { fill: #eaf6ef; stroke: #18794e }
text { text-anchor: middle; dominant-baseline: central; fill: #1c1c22 }
path { fill: none; stroke: #8a8a9a; stroke-width: 1.1; marker-end: url(#tip) }
"""


def room_of(module: str) -> str:
    """`imtext.training.callbacks.summary` → `imtext.training`; subpackages of `imtext.search` stay separate."""
    depth = 3 if module.startswith(tuple(f"{package}." for package in SPLIT)) else 2
    return ".".join(module.split(".")[:depth])


def read_rooms() -> dict[str, set[str]]:
    """Package → the packages it imports."""
    graph = grimp.build_graph("imtext", cache_dir=None)
    imports: dict[str, set[str]] = defaultdict(set)
    for module in graph.modules:
        room = room_of(module)
        if room in LEFT_OUT or module in SPLIT:
            continue
        imports[room] |= {room_of(name) for name in graph.find_modules_directly_imported_by(module)}
    return {room: imports[room] & imports.keys() - {room} for room in sorted(imports)}


def without_shortcuts(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """Leave out arrows that a chain of other arrows implies (the transitive reduction)."""

    def reached(room: str, seen: frozenset[str] = frozenset()) -> set[str]:
        following = imports[room] - seen
        return following.union(*(reached(below, seen | {room}) for below in following))

    return {
        room: {target for target in direct if not any(target in reached(other) for other in direct - {target})}
        for room, direct in imports.items()
    }


def floors(imports: dict[str, set[str]]) -> list[list[str]]:
    """Packages by level, top level first: a package is above everything it imports."""
    height: dict[str, int] = {}

    def measure(room: str, path: tuple[str, ...] = ()) -> int:
        if room in path:
            raise SystemExit(f"error: an import cycle: {' → '.join([*path, room])}")
        if room not in height:
            height[room] = 1 + max((measure(below, (*path, room)) for below in imports[room]), default=-1)
        return height[room]

    rows: dict[int, list[str]] = defaultdict(list)
    for room in imports:
        rows[measure(room)].append(room)
    # Training at the left, searching at the right, so that the two sides can be told apart.
    return [
        sorted(rows[level], key=lambda room: (room.startswith(SPLIT), room)) for level in sorted(rows, reverse=True)
    ]


def draw(imports: dict[str, set[str]]) -> str:
    """The picture as SVG."""
    rows, places = floors(imports), dict[str, tuple[float, float]]()
    width = max(len(row) for row in rows) * (BOX[0] + GAP) + GAP
    for level, row in enumerate(rows):
        start = (width - len(row) * (BOX[0] + GAP) + GAP) / 2
        places |= {room: (start + at * (BOX[0] + GAP), GAP + level * FLOOR) for at, room in enumerate(row)}
    height = GAP * 2 + (len(rows) - 1) * FLOOR + BOX[1]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" style="fill:#8a8a9a;stroke:none"/></marker></defs>',
    ]
    for room, below in without_shortcuts(imports).items():
        for other in sorted(below):
            (x, y), (to_x, to_y) = places[room], places[other]
            begin, end = (x + BOX[0] / 2, y + BOX[1]), (to_x + BOX[0] / 2, to_y)
            bend = (end[1] - begin[1]) / 2
            lines.append(
                f'<path d="M{begin[0]:g} {begin[1]:g} C{begin[0]:g} {begin[1] + bend:g} {end[0]:g} {end[1] - bend:g} '
                f'{end[0]:g} {end[1]:g}"/>'
            )
    for room, (x, y) in places.items():
        name = escape(room.removeprefix("imtext.").replace("search.", "search/"))
        side = "search" if room.startswith(SPLIT) else "train"
        lines.append(
            f'<g class="{side}"><rect x="{x:g}" y="{y:g}" width="{BOX[0]}" height="{BOX[1]}" rx="8"/>'
            f'<text x="{x + BOX[0] / 2:g}" y="{y + BOX[1] / 2:g}">{name}</text></g>'
        )
    return "\n".join([*lines, "</svg>", ""])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path, nargs="?", default=PICTURE, help="the file to write")
    picture = parser.parse_args().picture
    picture.write_text(draw(read_rooms()))
    print(picture)


if __name__ == "__main__":
    main()
