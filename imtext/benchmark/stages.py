"""The speed of each stage of a recipe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lightning.pytorch import Callback, Trainer
from omegaconf import DictConfig

from imtext.benchmark.recipe import cache_all_features, now
from imtext.benchmark.speed import Speed, peak_memory
from imtext.data import RetrievalDataModule
from imtext.data.batch import Batch
from imtext.errors import ConfigError
from imtext.training.module import RetrievalModule
from imtext.training.stages import Plan

WARM_UP = 3  # steps that are not counted


class Stopwatch(Callback):
    """Adds up the seconds spent in steps and waiting for batches, after some warm-up steps."""

    def __init__(self) -> None:
        self.waited, self.worked = 0.0, 0.0
        self.images, self.captions = 0, 0
        self._began = self._ended = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        """A batch has arrived."""
        self._began = now()
        self.waited += self._began - self._ended if batch_idx > WARM_UP else 0

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """The step is done."""
        self._ended = now()
        if batch_idx > WARM_UP:
            self.worked += self._ended - self._began
            self.images, self.captions = self.images + len(batch["image"]), self.captions + len(batch["input_ids"])


def time_stages(config: DictConfig, data: RetrievalDataModule, module: RetrievalModule, steps: int) -> Iterator[Speed]:
    """Measure the features and some steps of each stage, in their order.

    Raises:
        ConfigError: there are too few training pictures.
    """
    towers = module.model.image_encoder, module.model.text_encoder
    for name, stage in module.plan.stages.items():
        alone = Plan({name: replace(stage, after_epochs=0)}, *(len(tower.blocks) for tower in towers))
        started = time.monotonic()
        cache_all_features(config, data, module, alone, range(1))
        if stage.views:
            made = len(data.rows["train"]) * stage.views
            yield Speed(f"{name}: features", made / (time.monotonic() - started), 0, 0, peak_memory())
        module.plan = alone
        yield _time_steps(config, data, module, name, steps)


def _time_steps(config: DictConfig, data: RetrievalDataModule, module: RetrievalModule, name: str, steps: int) -> Speed:
    watch = Stopwatch()
    trainer = Trainer(
        accelerator=config.trainer.accelerator,
        devices=1,
        precision=config.trainer.precision,
        gradient_clip_val=config.trainer.gradient_clip_val,
        max_steps=steps + WARM_UP + 1,
        limit_val_batches=0,
        callbacks=[watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data)
    if not watch.images:
        raise ConfigError("The benchmark needs more training pictures or a smaller data.batch_size")
    seconds = watch.waited + watch.worked
    return Speed(name, watch.images / seconds, watch.captions / seconds, watch.waited / seconds, peak_memory())
