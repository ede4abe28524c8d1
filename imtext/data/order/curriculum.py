"""A curriculum: easy pictures first."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from imtext.data.order.base import Order, Positions
from imtext.data.order.difficulty import MEASURES, tokenise
from imtext.errors import ConfigError
from imtext.preprocess.tokenizer import Tokenizer

log = logging.getLogger(__name__)

Difficulty = Literal["rarity", "length", "agreement"]


class Curriculum(Order):
    """Begins with the easiest pictures and adds harder ones epoch by epoch (Platanios et al., 2019).

    The share of the pictures in use grows with the square root of time: ``c(t) = sqrt(t · (1 - start²) / epochs +
    start²)`` before epoch t, counted from 0. An epoch has as many steps as without a curriculum, so the pictures in use
    come several times, evenly.

    Args:
        difficulty: `rarity`: how rare the tokens of its captions are; `length`: how many there are; `agreement`: how
            much its captions differ. See `imtext.data.order.difficulty`.
        start: share of the pictures in the first epoch.
        epochs: number of epochs after which all pictures are in use.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, difficulty: Difficulty = "rarity", start: float = 0.3, epochs: int = 3) -> None:
        if difficulty not in get_args(Difficulty):
            raise ConfigError(f"data.order.difficulty must be one of {', '.join(MEASURES)}, not {difficulty!r}")
        if not 0 < start <= 1:
            raise ConfigError(f"data.order.start={start}: it must be above 0 and at most 1")
        if epochs < 1:
            raise ConfigError(f"data.order.epochs={epochs}: it must be at least 1")
        self.difficulty, self.start, self.epochs = difficulty, start, epochs
        self._easiest_first: Positions | None = None

    def check(self, captions: Sequence[Sequence[str]], batch_size: int, max_epochs: int) -> None:
        """Refuse a curriculum that ends after the run, and a difficulty that the captions do not tell.

        Raises:
            ConfigError: a setting does not fit.
        """
        if self.epochs >= max_epochs:
            raise ConfigError(
                f"data.order.epochs={self.epochs}: a run of trainer.max_epochs={max_epochs} has no epoch with all "
                "pictures. Lower data.order.epochs"
            )
        if self.difficulty == "agreement" and all(len(texts) < 2 for texts in captions):
            raise ConfigError(
                "data.order.difficulty=agreement compares the captions of a picture, but no training picture has two: "
                "take rarity or length"
            )

    def prepare(self, captions: Sequence[Sequence[str]], tokenizer: Tokenizer) -> None:
        """Sort the pictures by difficulty, and log what is left out in which epoch."""
        found = MEASURES[self.difficulty](tokenise(captions, tokenizer))
        self._easiest_first = np.argsort(found, kind="stable")
        shares = [f"{100 * (1 - self.competence(epoch)):.0f} %" for epoch in range(self.epochs)]
        easiest, hardest = self._easiest_first[0], self._easiest_first[-1]
        log.info(
            "Curriculum by %s: the hardest %s of the pictures are left out in epoch%s 1 to %d. Easiest (%.2f): %s | "
            "hardest (%.2f): %s",
            self.difficulty, ", ".join(shares), "" if self.epochs == 1 else "s", self.epochs,
            found[easiest], captions[easiest][0], found[hardest], captions[hardest][0],
        )  # fmt: skip

    def competence(self, epoch: int) -> float:
        """Share of the pictures that are in use in an epoch, counted from 0."""
        return min(1.0, math.sqrt(epoch * (1 - self.start**2) / self.epochs + self.start**2))

    def arrange(self, size: int, batch_size: int, epoch: int, rng: np.random.Generator) -> Positions:
        """The pictures in use in random order, again and again, until there are `size`.

        Raises:
            RuntimeError: `prepare` was not called.
        """
        if self._easiest_first is None:
            raise RuntimeError("call prepare() first")
        # A batch needs different pictures, so there are at least as many as it takes.
        # Sorted, so that an epoch with all pictures is that of a run without a curriculum.
        used = np.sort(self._easiest_first[: max(batch_size, round(self.competence(epoch) * size))])
        found: Positions = rng.permutation(used)
        while len(found) < size:
            # The next round must not repeat a picture of the batch that the last one left unfinished.
            begun = found[len(found) - len(found) % batch_size :]
            again = rng.permutation(used)
            missing = (batch_size - len(begun)) % batch_size
            first = again[~np.isin(again, begun)][:missing]
            found = np.concatenate([found, first, again[~np.isin(again, first)]])
        return found[:size]
