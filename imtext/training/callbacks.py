"""What happens around the training: a line an epoch, plain warnings, retrieval pictures."""

from __future__ import annotations

import logging
import math
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint, RichProgressBar

from imtext.data.datamodule import RetrievalDataModule
from imtext.errors import ConfigError
from imtext.evaluation.metrics import retrieval_ranks
from imtext.evaluation.panels import Answer, draw_curves, retrieval_panel
from imtext.training.module import RetrievalModule
from imtext.training.tracking import MLflowTracker

log = logging.getLogger(__name__)


class EpochSummary(Callback):
    """One readable line per epoch, its history for the curves, and a warning, once, of what keeps it from learning.

    Args:
        at_chance: warn when the loss is above this share of what guessing gives.
        collapsed: warn when embeddings are spread less than this (0 … 1).
        after_steps: how many steps a model may take before it is judged, at the end of each epoch from then on.
    """

    def __init__(self, at_chance: float = 0.98, collapsed: float = 0.02, after_steps: int = 50) -> None:
        self.at_chance, self.collapsed, self.after_steps = at_chance, collapsed, after_steps
        self._validated, self._warned = False, set[str]()
        self.history: list[dict[str, float]] = []
        self._started = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Travels in the checkpoint, so that the curves of a resumed run are whole."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called on resume."""
        self.history = state_dict["history"]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started, self._validated = time.monotonic(), False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember that this epoch has figures of validation; Lightning goes on showing those of the last that had."""
        self._validated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say how the epoch went."""
        figures = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if self._validated or not name.startswith("val/")
        }
        loss, chance = figures.get("train/loss_epoch", math.nan), figures.get("train/chance_loss", math.nan)
        self.history.append({"epoch": trainer.current_epoch + 1, **figures})
        assert isinstance(pl_module, RetrievalModule)
        text = f"{_epoch(trainer, pl_module)}  loss {loss:.3f} (chance {chance:.2f})"
        if "val/rsum" in figures:
            text += (
                f"  val R@10: text→image {100 * figures['val/t2i_r@10']:.1f} %, "
                f"image→text {100 * figures['val/i2t_r@10']:.1f} %  rsum {100 * figures['val/rsum']:.0f}"
            )
        log.info("%s  temperature %.3f  %.0f s", text, figures["train/temperature"], time.monotonic() - self._started)
        if not math.isfinite(loss) or trainer.global_step >= self.after_steps:
            self.diagnose(figures)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """However short it was, say so if nothing came of it."""
        if self.history and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.diagnose(self.history[-1])

    def draw(self, path: Path) -> None:
        """Save the curves of loss, recall and temperature."""
        charts = {
            "loss": {"train": "train/loss_epoch", "validation": "val/loss", "guessing": "train/chance_loss"},
            "validation R@10": {"text → image": "val/t2i_r@10", "image → text": "val/i2t_r@10"},
            "temperature": {"temperature": "train/temperature"},
        }
        draw_curves(
            {
                title: {
                    line: [(figures["epoch"], figures[key]) for figures in self.history if key in figures]
                    for line, key in lines.items()
                }
                for title, lines in charts.items()
            },
            path,
        )

    def diagnose(self, figures: dict[str, float]) -> None:
        """Warn in plain words about a run that does not learn."""
        loss, chance = figures.get("train/loss_epoch", math.nan), figures.get("train/chance_loss", math.nan)
        if not math.isfinite(loss):
            self._warn("The loss is not a number. Try a smaller optim.lr, or trainer.precision=32-true.")
        elif loss > self.at_chance * chance:
            self._warn(
                "The loss (%.3f) is that of guessing (%.3f): nothing has been learnt. "
                "If that stays so, check that captions belong to their pictures, and try another optim.lr.",
                loss, chance,
            )  # fmt: skip
        for side in ("image", "text"):
            spread = max(0.0, figures.get(f"train/{side}_spread", 1.0))
            if spread < self.collapsed:
                self._warn(
                    f"All {side} embeddings are nearly the same (spread %.4f of 1): the {side} tower has collapsed. "
                    "Try a smaller optim.lr or a longer optim.warmup.", spread
                )  # fmt: skip

    def _warn(self, message: str, *figures: float) -> None:
        """Say a thing once in a training."""
        if message not in self._warned:
            self._warned.add(message)
            log.warning(message, *figures)


def _epoch(trainer: Trainer, module: RetrievalModule) -> str:
    stage = f" {module.plan.name_at(trainer.current_epoch)}" if len(module.plan.stages) > 1 else ""
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}{stage}"


class ProgressBar(RichProgressBar):
    """Lightning's bar, counting epochs from one like the log, with the loss beside it."""

    def _get_train_description(self, current_epoch: int) -> str:
        assert isinstance(self.trainer.lightning_module, RetrievalModule)
        return _epoch(self.trainer, self.trainer.lightning_module)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What is shown at the right."""
        loss = super().get_metrics(trainer, pl_module).get("train/loss_step")
        return {} if loss is None else {"loss": loss}


class StopEarly(EarlyStopping):
    """An `EarlyStopping` that on resume stays stopped, or goes on with the patience it is given now."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called on resume."""
        super().load_state_dict(state_dict | {"patience": self.patience})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do not begin another epoch."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class RunCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` that never leaves half a file, and keeps its best one when the run's folder is another."""

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        save_whole(trainer, Path(filepath))
        self._last_global_step_saved, self._last_checkpoint_saved = trainer.global_step, filepath
        for logger in trainer.loggers:
            logger.after_save_checkpoint(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called on resume: the best so far is looked for here, in a folder that was moved, and else brought here."""
        assert self.dirpath is not None
        best = Path(state_dict["best_model_path"])
        here = Path(self.dirpath) / best.name
        if self.monitor is not None and best.is_file() and not here.is_file():
            here.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(best, here)
        if not here.is_file():
            return  # nothing that others would have to be better than
        known = {str(here): score for path, score in state_dict["best_k_models"].items() if path == str(best)}
        paths = {"dirpath": str(self.dirpath), "best_model_path": str(here), "kth_best_model_path": str(here)}
        super().load_state_dict(state_dict | paths | {"best_k_models": known, "last_model_path": ""})


def save_whole(trainer: Trainer, path: Path) -> None:
    """Save a checkpoint in one stroke: whoever looks, also after a kill, finds the old one or the new one."""
    part = path.with_name(f"{path.name}.part")
    trainer.save_checkpoint(part)
    part.replace(path)


class LastCheckpoint(RunCheckpoint):
    """Saves `last.ckpt` before the first and after every epoch, so that there is always one to go on from.

    An interrupted epoch is trained again from its beginning: every random choice depends on the seed and the step
    alone, so the result is that of a training without interruption.

    Args:
        dirpath: the run's folder of checkpoints.
    """

    def __init__(self, dirpath: str) -> None:
        super().__init__(
            dirpath, "last", save_top_k=1, every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the beginning."""
        super().on_train_start(trainer, pl_module)
        assert self.dirpath is not None
        path = Path(self.dirpath) / "last.ckpt"
        resumed_here = trainer.ckpt_path is not None and path.is_file() and path.samefile(trainer.ckpt_path)
        if not trainer.fast_dev_run and not resumed_here:  # type: ignore[attr-defined]
            save_whole(trainer, path)


class AverageWeights(EMAWeightAveraging):
    """Measures and saves a running average of the weights, which generalises better than the weights of any one step.

    An exponential moving average over about ``1 / (1 - decay)`` steps (Polyak & Juditsky, 1992). `last.ckpt` keeps the
    weights that learn beside the average, so that a resumed training is that of one without interruption.

    Args:
        decay: share of the average that stays at each step.
    """

    def __init__(self, decay: float = 0.99) -> None:
        if not 0 < decay < 1:
            raise ConfigError(f"callbacks.average.decay must be between 0 and 1, not {decay}")
        super().__init__(decay=decay)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Keep the average where the model will be; it is not there yet."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the average in place while the training is validated; afterwards weights are measured as they are."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the learning weights back."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_end(trainer, pl_module)


class RetrievalExamples(Callback):
    """Pictures of what the model finds: the same queries again and again, to watch it learn.

    Args:
        output_dir: where the pictures go, as `text_to_image_epoch_003.png`.
        every_n_epochs: how often; and after the last epoch planned.
        num_queries: rows in a picture.
        top_k: results in a row.
    """

    def __init__(self, output_dir: str, every_n_epochs: int = 5, num_queries: int = 6, top_k: int = 5) -> None:
        if every_n_epochs < 1:
            raise ConfigError("callbacks.examples.every_n_epochs counts from 1; for none, callbacks.examples=null")
        self.output_dir, self.every_n_epochs = Path(output_dir), every_n_epochs
        self.num_queries, self.top_k = num_queries, top_k

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw, when it is time."""
        epoch = trainer.current_epoch + 1
        last = epoch == trainer.max_epochs
        due = not trainer.sanity_checking and trainer.state.fn == "fit" and (epoch % self.every_n_epochs == 0 or last)
        if not due:
            return
        assert isinstance(pl_module, RetrievalModule)
        data: RetrievalDataModule = trainer.datamodule  # type: ignore[attr-defined]
        self.output_dir.mkdir(parents=True, exist_ok=True)
        for direction, answers in self.answers(pl_module, data).items():
            panel = retrieval_panel(answers, f"{direction.replace('_', ' ')}, validation, after epoch {epoch}")
            panel.save(self.output_dir / f"{direction}_epoch_{epoch:03d}.png")
            for logger in trainer.loggers:
                if isinstance(logger, MLflowTracker):
                    logger.log_picture(panel, direction, epoch)

    def answers(self, module: RetrievalModule, data: RetrievalDataModule) -> dict[str, list[Answer]]:
        """The answers to queries spread evenly over the validation split."""
        images, texts, image_id, caption_image_id = module.val_metrics.gathered()
        ranks = retrieval_ranks(images, texts, image_id, caption_image_id)
        captions = [text for row in image_id.tolist() for text in data.captions[row]]
        found: dict[str, list[Answer]] = {"text_to_image": [], "image_to_text": []}
        for query in torch.linspace(0, len(texts) - 1, min(self.num_queries, len(texts))).long().tolist():
            best = (images @ texts[query]).topk(min(self.top_k, len(images))).indices.tolist()
            results = [(data.picture(int(image_id[i])), bool(image_id[i] == caption_image_id[query])) for i in best]
            found["text_to_image"].append(Answer(captions[query], results, int(ranks["t2i"][query])))
        for query in torch.linspace(0, len(images) - 1, min(self.num_queries, len(images))).long().tolist():
            best = (texts @ images[query]).topk(min(self.top_k, len(texts))).indices.tolist()
            lines = [(captions[i], bool(caption_image_id[i] == image_id[query])) for i in best]
            found["image_to_text"].append(Answer(data.picture(int(image_id[query])), lines, int(ranks["i2t"][query])))
        return found
