"""Any arguments of the Python API: an answer or a message, and no memory that stays."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imtext.errors import ImtextError
from imtext.search import Bundle
from imtext.search.predictor import Predictor, create_predictor
from tests.torture.amounts import amount, write_down
from tests.torture.memory import resident

CALLS = amount(3_000, 1_000_000)
WORDS = (
    "red", "circle", "BIG", "star", "+", "-", '"', "'", "photo:", "*", "(", ")", "NEAR", "\0", "\n", "é", "e\u0301",
    "犬", "🐕", "\ud800", "\u202e", "-" * 50, "1e999", "", " ", "%", "_", "\\", "--", "a" * 300,
)  # fmt: skip
MODES = "RGB", "L", "RGBA", "P", "1", "CMYK", "I;16", "F", "LA"

pytestmark = pytest.mark.slow


class Calls:
    """Calls with random arguments."""

    def __init__(self, predictor: Predictor, pictures: list[str], chance: random.Random) -> None:
        self.predictor, self.pictures, self.chance = predictor, pictures, chance

    def text(self) -> str:
        return self.chance.choice(["", " "]).join(self.chance.choices(WORDS, k=self.chance.randint(0, 8)))

    def image(self) -> Any:
        size = self.chance.randint(1, 40), self.chance.randint(1, 40)
        kinds: list[Callable[[], Any]] = [
            lambda: Image.new(self.chance.choice(MODES), size),
            lambda: self.chance.randbytes(self.chance.randint(0, 40)),
            lambda: self.chance.choice(self.pictures),
            lambda: "/does/not/exist.jpg",
        ]
        return self.chance.choice(kinds)()

    def number(self) -> Any:
        return self.chance.choice([None, None, 0, 1, 3, 10, -1, 10**9, 10**30])

    def any(self) -> object:
        """One call."""
        predictor, chance = self.predictor, self.chance
        top_k = self.number()
        calls: list[Callable[[], object]] = [
            lambda: predictor.search_database(self.text(), top_k or 10, chance.choice([0.0, None, 0.5, 1.0, 2.0])),
            lambda: predictor.search_database(self.text(), 5, fold=False, words=chance.random() < 0.5),
            lambda: predictor.query_notes(self.text()),
            lambda: predictor.encode_text(self.text()),
            lambda: predictor.encode_image(self.image()),
            lambda: predictor.search_similar(self.image(), top_k or 3),
            lambda: predictor.rank_texts(self.image(), [self.text() for _ in range(chance.randint(0, 3))], top_k),
            lambda: predictor.rank_images(self.text(), chance.choices(self.pictures, k=2), top_k, self.number()),
            lambda: predictor.tag_image(self.image(), [self.text()], top_k=top_k),
        ]
        return chance.choice(calls)()


def test_any_call(bundle: Bundle, gallery: Path, tmp_path: Path) -> None:
    predictor = create_predictor(bundle.path, tmp_path / "index")
    predictor.build_image_database(gallery)
    calls = Calls(predictor, [str(path) for path in sorted(gallery.rglob("*.png"))], random.Random(0))
    ended: Counter[str] = Counter()
    before = 0
    for number in range(CALLS):
        if number == CALLS // 5:  # caches are full
            before = resident()
        try:
            calls.any()
            ended["answered"] += 1
        except ImtextError:
            ended["refused"] += 1
    grown = resident() - before
    assert min(ended["answered"], ended["refused"]) > CALLS / 20
    assert grown < 30e6, f"{grown / 1e6:.0f} MB more"
    write_down(f"{CALLS:,} calls: {dict(ended)}; {grown / 1e6:+.1f} MB of memory after the first fifth")
