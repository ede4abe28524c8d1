"""The objects of one run, built from its configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import Trainer
from omegaconf import DictConfig, OmegaConf

from imtext.config.instantiate import instantiate
from imtext.data import RetrievalDataModule
from imtext.data.order import Neighbours
from imtext.errors import ConfigError
from imtext.losses import Distillation, Loss
from imtext.losses.distillation import NO_TEACHER
from imtext.models import TextEncoder
from imtext.training.build import ModelBuilder
from imtext.training.callbacks import MineNeighbours
from imtext.training.compilation import compile_towers
from imtext.training.grad_cache import check_grad_cache
from imtext.training.module import RetrievalModule
from imtext.training.optim import AdamW
from imtext.training.rerank.after import check_reranker
from imtext.training.resume import ResumePoint, find_resume_point
from imtext.training.sharding import FullySharded
from imtext.training.sharding_limits import check_sharding
from imtext.training.stages import Plan, uncached
from imtext.training.steps import warn_about_few_steps
from imtext.training.trainer import build_each, build_trainer

log = logging.getLogger(__name__)
HIGH_RATE = 1e-4  # for a pretrained transformer


@dataclass(frozen=True)
class Run:
    """The objects of one run.

    Attributes:
        config: resolved, as plain values.
        data: read and split.
        module: model, loss and optimizer.
        trainer: with callbacks and logger.
        resumed: the checkpoint that the run resumes from; None for a new run.
    """

    config: dict[str, Any]
    data: RetrievalDataModule
    module: RetrievalModule
    trainer: Trainer
    resumed: ResumePoint | None

    @property
    def output_dir(self) -> Path:
        """Folder of the run."""
        return Path(self.config["paths"]["output_dir"])

    @property
    def is_smoke_test(self) -> bool:
        """Whether the run takes one step only (`debug=fdr`): no baseline, no cached features, no checkpoints."""
        return bool(self.trainer.fast_dev_run)  # type: ignore[attr-defined]

    @property
    def tags(self) -> dict[str, str]:
        """Tags with the paths of the data, the results and the checkpoint of the run."""
        return {
            "data_fingerprint": self.data.fingerprint,
            "data_source": self.data.source,
            "output_dir": str(self.output_dir),
            "checkpoint": str(self.output_dir / "checkpoints" / "last.ckpt"),
        }


def warn_about_rates(tower: TextEncoder, optim: AdamW, plan: Plan) -> None:
    """Warn if pretrained words would learn at the rate of random ones, which destroys what they know."""
    rate = optim.lr * optim.lr_scale["text_encoder"]
    learns = plan.frozen_text_blocks(0) < tower.num_pretrained
    if learns and not tower.low_rank and rate > HIGH_RATE:
        log.warning(
            "The pretrained text tower learns at a rate of %g, which may destroy what it knows: set optim.lr=1e-5 "
            "optim.text_encoder_lr_scale=1, or freeze it",
            rate,
        )


def settle_order(data: RetrievalDataModule, trainer: Trainer) -> None:
    """Check that the order of batches fits the run, and let it mine if it needs neighbours.

    Raises:
        ConfigError: a setting of `data.order` does not fit.
    """
    if data.order is None:
        return
    assert trainer.max_epochs is not None
    if not trainer.fast_dev_run:  # type: ignore[attr-defined]
        captions = [data.captions[row] for row in data.rows["train"]]
        data.order.check(captions, data.batch_size, trainer.max_epochs)
    if isinstance(data.order, Neighbours):
        trainer.callbacks.insert(0, MineNeighbours(data.order))  # type: ignore[attr-defined]


def check_teacher(loss: Loss, data: RetrievalDataModule) -> None:
    """Refuse a loss that learns from a teacher if the data has none, before the data is read.

    Raises:
        ConfigError: the data has no teacher.
    """
    if data.teacher_path is None and any(isinstance(each, Distillation) for each in loss.modules()):
        raise ConfigError(NO_TEACHER)


def check_stream(data: RetrievalDataModule, reranker: Any) -> None:
    """Refuse to train a re-ranker on a stream: it is trained on the neighbours of each picture among all of them.

    Raises:
        ConfigError: the data is a stream, and there is a re-ranker.
    """
    if data.streams and reranker is not None:
        raise ConfigError(
            "A re-ranker cannot be trained on a stream. Set model.reranker=null, and train it afterwards on finite "
            "data: python -m imtext.rerank ckpt_path=<run> data=table data.path=…"
        )


def build_run(config: DictConfig, setup: Callable[[RetrievalDataModule], None] = RetrievalDataModule.setup) -> Run:
    """Build all objects of a run, in an order that finds mistakes in the settings before the data is read.

    The image tower is built before the data, which needs its preprocessing. Then follow the text tower, which needs the
    vocabulary of the data, and the projections. This order also fixes the random numbers that initialise each of them.

    Args:
        config: checked configuration, with an existing device.
        setup: reads the data; another function may take it from an earlier run.

    Raises:
        ImtextError: a setting, the data or the checkpoint to resume from is wrong.
    """
    resumed = find_resume_point(config)
    trainer = build_trainer(config)
    loss, optim, stages = instantiate(config.loss), instantiate(config.optim), build_each(config.get("stages"))
    data: RetrievalDataModule = instantiate(config.data)
    check_teacher(loss, data)
    check_stream(data, config.model.get("reranker"))
    builder = ModelBuilder(config.model)
    data.use_model(builder.preprocess, builder.read_tokenizer(data.max_text_length))
    builder.check_size(data.preprocess, data.scales.sizes if data.scales else ())
    setup(data)
    data.require("train", "val")
    settle_order(data, trainer)
    if not trainer.fast_dev_run and config.trainer.limit_train_batches is None:  # type: ignore[attr-defined]
        together = data.batch_size * trainer.num_devices * trainer.num_nodes
        warn_about_few_steps(data.images_per_epoch, together, config.trainer.max_epochs)
    model = builder.finish(data.tokenizer.vocabulary)
    if (dim := model.text_encoder.wants_word_vectors) is not None:
        model.text_encoder.start_from(data.word_vectors(dim))
    stages = uncached(stages) if data.streams else stages
    plan = Plan(stages, len(model.image_encoder.blocks), len(model.text_encoder.blocks))
    check_grad_cache(config.grad_cache, model, plan)
    compile_towers(model, config.compile)
    if isinstance(trainer.strategy, FullySharded):
        check_sharding(trainer, model, plan, compiled=bool(config.compile))
    warn_about_rates(model.text_encoder, optim, plan)
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    check_reranker(plain, model, data.tokenizer.vocabulary)
    module = RetrievalModule(
        model, loss, optim, data.tokenizer, data.preprocess, plan,
        config=plain, seed=config.seed, grad_cache=config.grad_cache,
    )  # fmt: skip
    if HydraConfig.initialized():
        module.overrides = list(HydraConfig.get().overrides.task)
    if resumed is not None:
        resumed.restore(module)
    return Run(plain, data, module, trainer, resumed)
