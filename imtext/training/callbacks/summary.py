"""One log line per epoch, and the history of a run for its curves."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from imtext.evaluation.curves import draw_curves
from imtext.training.callbacks.progress import epoch_label

log = logging.getLogger(__name__)

# Charts of `curves.png`: title → line → metric.
CHARTS = {
    "loss": {"train": "train/loss_epoch", "validation": "val/loss", "guessing": "train/chance_loss"},
    "validation R@10": {"text → image": "val/t2i_r@10", "image → text": "val/i2t_r@10"},
    "temperature": {"temperature": "train/temperature"},
}


class EpochSummary(Callback):
    """Logs one readable line per epoch and keeps all metrics of every epoch.

    Attributes:
        history: metrics of each epoch by name, with the epoch's number, counted from 1, as `epoch`. It is saved in
            checkpoints, so that the curves of a resumed run are complete.
    """

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []
        self._validated = False
        self._started = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """The history."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the history on resume."""
        self.history = state_dict["history"]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started, self._validated = time.monotonic(), False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that this epoch has been validated. Otherwise Lightning still holds metrics of an earlier epoch."""
        self._validated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the line of the epoch."""
        metrics = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if self._validated or not name.startswith("val/")
        }
        self.history.append({"epoch": trainer.current_epoch + 1, **metrics})
        loss, chance = metrics.get("train/loss_epoch", math.nan), metrics.get("train/chance_loss", math.nan)
        line = f"{epoch_label(trainer)}  loss {loss:.3f} (chance {chance:.2f})"
        if "val/rsum" in metrics:
            line += (
                f"  val R@10: text→image {100 * metrics['val/t2i_r@10']:.1f} %, "
                f"image→text {100 * metrics['val/i2t_r@10']:.1f} %  rsum {100 * metrics['val/rsum']:.0f}"
            )
        seconds = time.monotonic() - self._started
        log.info("%s  temperature %.3f  %.0f s", line, metrics["train/temperature"], seconds)

    def draw(self, path: Path) -> None:
        """Save the curves of loss, recall and temperature as a picture."""
        curves = {
            title: {
                line: [(metrics["epoch"], metrics[key]) for metrics in self.history if key in metrics]
                for line, key in lines.items()
            }
            for title, lines in CHARTS.items()
        }
        draw_curves(curves, path)
