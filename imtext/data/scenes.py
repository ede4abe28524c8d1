"""Drawn scenes of coloured shapes with varied captions. Needs only NumPy and Pillow.

A scene is either two things in a relation ("a small red circle inside a big blue star") or several of a kind
("three yellow crosses"), on one of four backgrounds. Captions vary in words and order, and leave out different details.
Finding the right picture takes shape, colour, size, count and relation together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

VERSION = "1"  # increase it when pictures or captions change; caches depend on it
CANVAS = 160  # side of a drawing in pixels, before it is resized for the model
CAPTIONS = 5

SHAPES = {
    "circle": ("circle", "disc", "dot"),
    "square": ("square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "cross": ("cross", "plus sign"),
    "ring": ("ring", "hoop"),
}
COLORS = {
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 90, 220),
    "yellow": (240, 210, 30),
    "purple": (148, 60, 189),
    "orange": (255, 127, 14),
    "pink": (245, 130, 190),
    "brown": (130, 80, 50),
}
BACKGROUNDS = {"white": (250, 250, 250), "black": (15, 15, 15), "grey": (150, 150, 150), "light blue": (180, 215, 240)}
SIZES = {"small": ("small", "little", "tiny"), "big": ("big", "large", "huge")}
COUNTS = {2: ("two", "2", "a pair of"), 3: ("three", "3"), 4: ("four", "4"), 5: ("five", "5")}
# relation: phrases from the first thing to the second, and from the second to the first
RELATIONS = {
    "left": (("left of", "to the left of"), ("right of", "to the right of")),
    "above": (("above", "over"), ("below", "under", "beneath")),
    "inside": (("inside", "in the middle of"), ("around", "surrounding")),
}


@dataclass(frozen=True)
class Thing:
    """A shape with its colour and size."""

    shape: str
    color: str
    size: str


@dataclass(frozen=True)
class Scene:
    """Two things in a relation, or `count` copies of the first."""

    background: str
    first: Thing
    second: Thing | None = None
    relation: str | None = None
    count: int = 1


def random_scene(rng: np.random.Generator) -> Scene:
    """Compose a scene: a relation with probability 2/3, otherwise several of a kind."""

    def pick(values: Any) -> Any:
        return list(values)[rng.integers(len(values))]

    def thing(size: str | None = None) -> Thing:
        return Thing(pick(SHAPES), pick(COLORS), size or pick(SIZES))

    background = pick(BACKGROUNDS)
    if rng.random() < 1 / 3:
        return Scene(background, thing(), count=pick(COUNTS))
    relation = pick(RELATIONS)
    inside = relation == "inside"
    first, second = thing("small" if inside else None), thing("big" if inside else None)
    while (second.shape, second.color) == (first.shape, first.color):
        second = thing("big" if inside else None)
    return Scene(background, first, second, relation)


def describe(scene: Scene, rng: np.random.Generator) -> list[str]:
    """Write five captions in different words; about half of them leave out sizes or the background."""

    def pick(values: Any) -> str:
        return str(values[rng.integers(len(values))])

    def noun(thing: Thing, plural: bool = False) -> str:
        size = pick(SIZES[thing.size]) + " " if rng.random() < 0.6 else ""
        name = pick(SHAPES[thing.shape])
        if plural:
            name += "es" if name.endswith(("s", "x")) else "s"
        return f"{size}{thing.color} {name}"

    def a(words: str) -> str:
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"

    captions = []
    for _ in range(CAPTIONS):
        if scene.second is None or scene.relation is None:
            text = f"{pick(COUNTS[scene.count])} {noun(scene.first, plural=True)}"
        else:
            forth, back = RELATIONS[scene.relation]
            if rng.random() < 0.5:
                text = f"{a(noun(scene.first))} {pick(forth)} {a(noun(scene.second))}"
            else:
                text = f"{a(noun(scene.second))} {pick(back)} {a(noun(scene.first))}"
        if rng.random() < 0.5:
            text += f" on a {scene.background} background"
        there = "there is " if scene.count == 1 else "there are "
        captions.append(pick(("", "", "a picture of ", there, "I see ")) + text + pick(("", " .")))
    return captions


def draw(scene: Scene, rng: np.random.Generator) -> Image.Image:
    """Draw a scene. Positions and sizes vary a little, so that no two pictures are aligned."""
    image = Image.new("RGB", (CANVAS, CANVAS), BACKGROUNDS[scene.background])
    canvas = ImageDraw.Draw(image)

    def shake(amount: float) -> float:
        return float(rng.uniform(-amount, amount))

    def radius(thing: Thing) -> float:
        return CANVAS * (0.09 if thing.size == "small" else 0.17) * (1 + shake(0.12))

    if scene.second is None:
        centres = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75), (0.5, 0.5)]
        for cell in rng.permutation(len(centres))[: scene.count]:
            x, y = centres[cell]
            _paint(canvas, scene.first, (x + shake(0.04)) * CANVAS, (y + shake(0.04)) * CANVAS, radius(scene.first))
        return image
    if scene.relation == "inside":
        x, y = (0.5 + shake(0.15)) * CANVAS, (0.5 + shake(0.15)) * CANVAS
        _paint(canvas, scene.second, x, y, radius(scene.second) * 1.8)
        _paint(canvas, scene.first, x, y, radius(scene.first))
        return image
    along, across = (0.27, 0.73), (0.5 + shake(0.2), 0.5 + shake(0.2))
    for thing, near, far in zip((scene.first, scene.second), along, across, strict=True):
        x, y = (near + shake(0.05), far) if scene.relation == "left" else (far, near + shake(0.05))
        _paint(canvas, thing, x * CANVAS, y * CANVAS, radius(thing))
    return image


def _paint(canvas: ImageDraw.ImageDraw, thing: Thing, x: float, y: float, r: float) -> None:
    """Draw a thing at (x, y) with radius r; its outline makes it visible on a background of similar colour."""
    fill = COLORS[thing.color]
    edge = tuple(int(value * 0.6) for value in fill)
    box = (x - r, y - r, x + r, y + r)
    match thing.shape:
        case "circle":
            canvas.ellipse(box, fill, edge, 2)
        case "ring":
            canvas.ellipse(box, None, fill, max(3, round(r * 0.4)))
        case "square":
            canvas.rectangle(box, fill, edge, 2)
        case "triangle":
            canvas.polygon(_around(x, y, [r * 1.15] * 3), fill, edge, 2)
        case "star":
            canvas.polygon(_around(x, y, [r * 1.2, r * 0.5] * 5), fill, edge, 2)
        case "cross":
            third = r * 0.36
            canvas.polygon(
                [
                    (x - third, y - r), (x + third, y - r), (x + third, y - third), (x + r, y - third),
                    (x + r, y + third), (x + third, y + third), (x + third, y + r), (x - third, y + r),
                    (x - third, y + third), (x - r, y + third), (x - r, y - third), (x - third, y - third),
                ],
                fill, edge, 2,
            )  # fmt: skip


def _around(x: float, y: float, radii: list[float]) -> list[tuple[float, float]]:
    """Corners of a polygon around (x, y), clockwise from the top."""
    step = 2 * math.pi / len(radii)
    return [(x + r * math.sin(i * step), y - r * math.cos(i * step)) for i, r in enumerate(radii)]
