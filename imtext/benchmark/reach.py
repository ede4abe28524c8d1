"""The time that a recipe takes to become as good as a plain loop."""

from __future__ import annotations

import logging
import math
import time
from tempfile import TemporaryDirectory
from typing import Any

from lightning.pytorch import Callback, Trainer
from omegaconf import DictConfig

from imtext.benchmark.plain_loop import PlainLoop
from imtext.benchmark.recipe import build_recipe, cache_all_features
from imtext.config.instantiate import instantiate
from imtext.data import RetrievalDataModule

log = logging.getLogger(__name__)


def time_to_reach(config: DictConfig, data: RetrievalDataModule, epochs: int) -> dict[str, float]:
    """Train both, and compare the seconds that they take.

    Measuring the recall is not counted. The time of the recipe begins with the raw data.

    Args:
        config: configuration of the recipe.
        data: already set up.
        epochs: number of epochs of the plain loop; the recipe must reach the best recall of these epochs.

    Returns:
        `plain_r@10` and `plain_seconds`, `recipe_r@10` and `recipe_seconds`; NaN if the recipe does not reach it.
    """
    wanted, plain_seconds = _best_of_plain_loop(config, data, epochs)
    watch = _Watch(wanted)
    with TemporaryDirectory(prefix="imtext-benchmark-") as folder:
        config.data.cache_dir = folder
        watch.began = time.monotonic()
        data, module = build_recipe(config)
        cache_all_features(config, data, module, module.plan, range(config.trainer.max_epochs))
        options = {name: value for name, value in config.trainer.items() if name != "_target_"}
        callbacks = [instantiate(config.callbacks.average)] if config.callbacks.get("average") else []
        Trainer(
            **options | {"check_val_every_n_epoch": 1, "enable_progress_bar": False, "enable_checkpointing": False},
            callbacks=[*callbacks, watch],
            logger=False,
        ).fit(module, data)
    return {
        "plain_r@10": wanted,
        "plain_seconds": plain_seconds,
        "recipe_r@10": watch.recall,
        "recipe_seconds": watch.seconds,
    }


def _best_of_plain_loop(config: DictConfig, data: RetrievalDataModule, epochs: int) -> tuple[float, float]:
    """The best R@10 of the plain loop, and the seconds it took to reach it."""
    loop = PlainLoop(config, data)
    spent, best, best_seconds = 0.0, 0.0, 0.0
    for epoch in range(epochs):
        started = time.monotonic()
        for rows in loop.batches(epoch):
            loop.step(rows, loop.images(rows), epoch)
        spent += time.monotonic() - started
        recall = loop.recall()
        log.info("Plain loop: R@10 %.1f after epoch %d and %.0f s", 100 * recall, epoch + 1, spent)
        if recall > best:
            best, best_seconds = recall, spent
    return best, best_seconds


class _Watch(Callback):
    """Stops a run when it reaches a recall, and measures the time without validation."""

    def __init__(self, wanted: float) -> None:
        self.wanted = wanted
        self.recall = self.seconds = math.nan
        self.began = time.monotonic()
        self._validating = self._validation_began = 0.0

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Stop the clock."""
        self._validation_began = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Check the recall, and start the clock again."""
        self._validating += time.monotonic() - self._validation_began
        recall = float(trainer.callback_metrics["val/t2i_r@10"])
        seconds = time.monotonic() - self.began - self._validating
        log.info("Recipe: R@10 %.1f after epoch %d and %.0f s", 100 * recall, trainer.current_epoch + 1, seconds)
        if recall >= self.wanted and math.isnan(self.recall):
            self.recall, self.seconds = recall, seconds
            trainer.should_stop = True
