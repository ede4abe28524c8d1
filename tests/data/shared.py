"""Helpers for the tests of data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imtext.data import RetrievalDataModule, Shapes
from imtext.preprocess.tokenizer import Tokens, Vocabulary

SMALL: dict[str, Any] = {"image_size": 32, "batch_size": 4}


def shapes(folder: Path, **options: Any) -> Shapes:
    data = Shapes(40, **{"image_size": 32, "batch_size": 8, "cache_dir": str(folder), "seed": 5, **options})
    data.setup()
    return data


def ready(data: RetrievalDataModule) -> RetrievalDataModule:
    data.setup()
    return data


class Characters:
    """A second tokenizer: lower-case letters from a to z; everything else is unknown."""

    vocabulary = Vocabulary("characters", 28, 27, 26, 12)

    def __call__(self, texts: Sequence[str]) -> Tokens:
        rows = [self._ids(text) for text in texts]
        ids = np.full((len(rows), max(map(len, rows), default=0)), self.vocabulary.pad_id)
        for row, numbers in enumerate(rows):
            ids[row, : len(numbers)] = numbers
        return Tokens(ids, ids != self.vocabulary.pad_id)

    def unknown_words(self, text: str) -> list[str]:
        return [letter for letter in text if not "a" <= letter <= "z"]

    def cut_words(self, text: str) -> list[str]:
        return text[self.vocabulary.max_length :].split()

    def knows(self, text: str) -> bool:
        return any("a" <= letter <= "z" for letter in text)

    def to_json(self) -> str:
        return json.dumps({"type": "characters"})

    def _ids(self, text: str) -> list[int]:
        cut = text[: self.vocabulary.max_length] or " "
        return [ord(letter) - ord("a") if "a" <= letter <= "z" else 26 for letter in cut]
