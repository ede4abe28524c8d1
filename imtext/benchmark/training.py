"""How fast each stage of a training is, beside a plain loop over the same data."""

from __future__ import annotations

import logging
import resource
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from imtext.config.compose import compose_config
from imtext.config.instantiate import instantiate
from imtext.config.schema import check_config
from imtext.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from omegaconf import DictConfig

    from imtext.data import RetrievalDataModule
    from imtext.data.batch import Batch
    from imtext.training.module import RetrievalModule
    from imtext.training.stages import Plan

log = logging.getLogger(__name__)
WARM_UP = 3  # steps that are not counted
PLAIN_BATCH = 64  # images of the reference loop, each with one caption


@dataclass(frozen=True)
class Speed:
    """What was measured of some training steps, or of computing features.

    Args:
        what: was done.
        images: per second.
        captions: per second.
        waiting: share of the time in which the network waited for the next batch.
        memory: peak resident memory of the process so far, in bytes.
    """

    what: str
    images: float
    captions: float
    waiting: float
    memory: int


def benchmark_training(overrides: list[str], steps: int, reach: int = 0) -> dict[str, Any]:
    """Measure every stage of a training, and a plain loop over the same data beside it.

    The plain loop is what one would write first: pictures are decoded in every epoch, each goes through the whole
    network with one of its captions.

    Args:
        overrides: of the training's configuration.
        steps: to measure in each stage.
        reach: also train both, the plain loop for so many epochs and the recipe until it is as good.

    Returns:
        All figures: `stages`, `plain`, `ratio` (of captions a second, slowest stage to plain loop), and with `reach`
        the times.
    """
    from lightning.pytorch import seed_everything

    from imtext.training.devices import keep_freed_memory, settle_device
    from imtext.training.features import cache_features
    from imtext.training.stages import Plan

    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with TemporaryDirectory(prefix="imtext-benchmark-") as folder:
        # A cache of its own: computing it is part of what is measured.
        config = compose_config("train", [*overrides, f"paths.output_dir={folder}", f"data.cache_dir={folder}"])
        check_config(config)
        settle_device(config.trainer)
        keep_freed_memory()
        seed_everything(config.seed, verbose=False)
        data, module = _build(config)
        found: dict[str, Any] = {"stages": [], "device": str(config.trainer.accelerator)}
        for name, stage in module.plan.stages.items():
            towers = module.model.image_encoder, module.model.text_encoder
            alone = Plan({name: replace(stage, after_epochs=0)}, *(len(tower.blocks) for tower in towers))
            started = time.monotonic()
            data.features = cache_features(module.model.image_encoder, alone, data, _device(config), range(1))
            if stage.views:
                made = len(data.rows["train"]) * stage.views
                found["stages"].append(Speed(f"{name}: features", made / (time.monotonic() - started), 0, 0, _memory()))
            found["stages"].append(_time_steps(config, data, module, alone, name, steps))
        found["plain"] = _time_plain(config, data, steps)
        found["ratio"] = min(speed.captions for speed in found["stages"] if speed.captions) / found["plain"].captions
        if reach:
            found |= _reach(config, data, reach)
    return found


def _build(config: DictConfig) -> tuple[RetrievalDataModule, RetrievalModule]:
    from imtext.models import build_model
    from imtext.training.module import RetrievalModule
    from imtext.training.stages import Plan

    image_encoder = instantiate(config.model.image_encoder)
    data: RetrievalDataModule = instantiate(config.data)
    data.use_model(image_encoder.preprocess)
    data.setup()
    data.require("train", "val")
    model = build_model(config.model, image_encoder, data.tokenizer.vocabulary)
    if (dim := model.text_encoder.wants_word_vectors) is not None:
        model.text_encoder.start_from(data.word_vectors(dim))
    stages = {name: instantiate(node) for name, node in (config.stages or {}).items() if node is not None}
    plan = Plan(stages, len(model.image_encoder.blocks), len(model.text_encoder.blocks))
    loss, optim = instantiate(config.loss), instantiate(config.optim)
    return data, RetrievalModule(model, loss, optim, data.tokenizer, data.preprocess, plan, seed=config.seed)


def _time_steps(
    config: DictConfig, data: RetrievalDataModule, module: RetrievalModule, plan: Plan, name: str, steps: int
) -> Speed:
    """Steps of a stage as the training takes them."""
    from lightning.pytorch import Callback, Trainer

    class Stopwatch(Callback):
        def __init__(self) -> None:
            self.waited, self.worked, self.images, self.captions = 0.0, 0.0, 0, 0
            self.ended = self.began = 0.0

        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Batch, batch_idx: int) -> None:
            self.began = _now()
            self.waited += self.began - self.ended if batch_idx > WARM_UP else 0

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
            self.ended = _now()
            if batch_idx > WARM_UP:
                self.worked += self.ended - self.began
                self.images, self.captions = self.images + len(batch["image"]), self.captions + len(batch["input_ids"])

    module.plan = plan
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
    seconds = watch.waited + watch.worked
    if not watch.images:
        raise ConfigError("There are too few training pictures for a measurement: use a smaller data.batch_size")
    return Speed(name, watch.images / seconds, watch.captions / seconds, watch.waited / seconds, _memory())


class _PlainLoop:
    """The reference: decode, one caption for each picture, the whole network."""

    def __init__(self, config: DictConfig, data: RetrievalDataModule) -> None:
        import torch

        from imtext.models import build_model

        torch.manual_seed(config.seed)
        self.data, self.device = data, _device(config)
        self.source, self.loss = data.load_source(), instantiate(config.loss)
        image_encoder = instantiate(config.model.image_encoder)
        self.model = build_model(config.model, image_encoder, data.tokenizer.vocabulary).to(self.device)
        # The pretrained tower at a tenth of it, or it forgets what it knows.
        tower = list(self.model.image_encoder.parameters())
        rest = [each for name, each in self.model.named_parameters() if not name.startswith("image_encoder.")]
        self.optimizer = torch.optim.AdamW([{"params": tower, "lr": 1e-4}, {"params": rest, "lr": 1e-3}])

    def batches(self, epoch: int) -> Iterator[list[int]]:
        import numpy as np

        rows = np.random.default_rng(epoch).permutation(self.data.rows["train"]).tolist()
        yield from (rows[start : start + PLAIN_BATCH] for start in range(0, len(rows) - PLAIN_BATCH + 1, PLAIN_BATCH))

    def images(self, rows: list[int]) -> torch.Tensor:
        import numpy as np
        import torch

        from imtext.data.pictures import normalize

        pixels = np.stack([self.data.preprocess.pixels(self.source.load_image(row)) for row in rows])
        return normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2), self.data.preprocess)

    def step(self, rows: list[int], images: torch.Tensor, epoch: int) -> None:
        import torch

        captions = [self.data.captions[row][epoch % len(self.data.captions[row])] for row in rows]
        input_ids, mask = map(torch.from_numpy, self.data.tokenizer(captions))
        ids = torch.tensor(rows, device=self.device)
        self.model.train()
        terms = self.loss(
            self.model.encode_image(images.to(self.device)),
            self.model.encode_text(input_ids.to(self.device), mask.to(self.device)),
            ids, ids, self.model.logit_scale,
        )  # fmt: skip
        self.optimizer.zero_grad()
        sum(terms.values()).backward()
        self.optimizer.step()
        self.model.clamp_logit_scale()

    def recall(self) -> float:
        """Text-to-image R@10 on the validation split."""
        import torch

        from imtext.evaluation.metrics import RetrievalMetrics

        metrics = RetrievalMetrics()
        self.model.eval()
        with torch.inference_mode():
            for batch in self.data.eval_dataloader("val"):
                images = self.model.encode_image(batch["image"].to(self.device))
                texts = self.model.encode_text(
                    batch["input_ids"].to(self.device), batch["attention_mask"].to(self.device)
                )
                metrics.update(images.cpu(), texts.cpu(), batch["image_id"], batch["caption_image_id"])
        return metrics.compute()["t2i_r@10"]


def _time_plain(config: DictConfig, data: RetrievalDataModule, steps: int) -> Speed:
    loop = _PlainLoop(config, data)
    waited = worked = 0.0
    seen = 0
    for number, rows in enumerate(loop.batches(0)):
        if number == steps + WARM_UP:
            break
        began = _now()
        images = loop.images(rows)
        ready = _now()
        loop.step(rows, images, 0)
        if number >= WARM_UP:
            waited, worked, seen = waited + ready - began, worked + _now() - ready, seen + len(rows)
    if not seen:
        raise ConfigError(f"There are fewer than {(WARM_UP + 1) * PLAIN_BATCH} training pictures, too few to measure")
    return Speed(
        "plain loop", seen / (waited + worked), seen / (waited + worked), waited / (waited + worked), _memory()
    )


def _reach(config: DictConfig, data: RetrievalDataModule, epochs: int) -> dict[str, float]:
    """Seconds to the best R@10 of so many epochs of the plain loop: its own, and the recipe's from raw data on."""
    from lightning.pytorch import Callback, Trainer

    from imtext.training.features import cache_features

    loop = _PlainLoop(config, data)
    spent, wanted, plain = 0.0, 0.0, 0.0
    for epoch in range(epochs):
        started = time.monotonic()
        for rows in loop.batches(epoch):
            loop.step(rows, loop.images(rows), epoch)
        spent += time.monotonic() - started  # looking at the result is not counted
        recall = loop.recall()
        log.info("Plain loop: R@10 %.1f after epoch %d and %.0f s", 100 * recall, epoch + 1, spent)
        if recall > wanted:
            wanted, plain = recall, spent
    reached: dict[str, float] = {}

    class Watch(Callback):
        looked = 0.0  # seconds, as little counted as those of the plain loop

        def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
            self.started = time.monotonic()

        def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
            self.looked += time.monotonic() - self.started
            recall, seconds = float(trainer.callback_metrics["val/t2i_r@10"]), time.monotonic() - began - self.looked
            log.info("Recipe: R@10 %.1f after epoch %d and %.0f s", 100 * recall, trainer.current_epoch + 1, seconds)
            if recall >= wanted and not reached:
                reached.update(seconds=seconds, recall=recall)
                trainer.should_stop = True

    with TemporaryDirectory(prefix="imtext-benchmark-") as folder:
        config.data.cache_dir = folder
        began = time.monotonic()
        data, module = _build(config)
        data.features = cache_features(
            module.model.image_encoder, module.plan, data, _device(config), range(config.trainer.max_epochs)
        )
        options = {name: value for name, value in config.trainer.items() if name != "_target_"}
        callbacks = [instantiate(config.callbacks.average)] if config.callbacks.get("average") else []
        Trainer(
            **options | {"check_val_every_n_epoch": 1, "enable_progress_bar": False, "enable_checkpointing": False},
            callbacks=[*callbacks, Watch()],
            logger=False,
        ).fit(module, data)
    return {
        "plain_r@10": wanted, "plain_seconds": plain,
        "recipe_r@10": reached.get("recall", float("nan")), "recipe_seconds": reached.get("seconds", float("nan")),
    }  # fmt: skip


def _device(config: DictConfig) -> torch.device:
    import torch

    from imtext.training.devices import resolve_accelerator

    return torch.device(resolve_accelerator(str(config.trainer.accelerator)))


def _now() -> float:
    """The time, once the accelerator has done all it was asked to."""
    import torch

    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.monotonic()


def _memory() -> int:
    """Peak resident memory of this process in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def print_training(found: dict[str, Any]) -> None:
    """A table for people."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title="Training speed", title_justify="left")
    for column in ("what", "images/s", "captions/s", "waiting for data", "peak memory"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for speed in (*found["stages"], found["plain"]):
        captions = f"{speed.captions:,.0f}" if speed.captions else ""
        table.add_row(
            speed.what, f"{speed.images:,.0f}", captions, f"{100 * speed.waiting:.1f} %", f"{speed.memory / 1e9:.2f} GB"
        )
    console = Console()
    console.print(table)
    console.print(f"Captions a second, slowest stage to plain loop: {found['ratio']:.1f} ×")
    if "plain_seconds" in found:
        console.print(
            f"Text→image R@10 {100 * found['plain_r@10']:.1f}: plain loop {found['plain_seconds']:.0f} s, recipe "
            f"{found['recipe_seconds']:.0f} s (R@10 {100 * found['recipe_r@10']:.1f}), "
            f"{found['plain_seconds'] / found['recipe_seconds']:.1f} × as fast"
        )
