"""The metrics of a finished run."""

from __future__ import annotations

import logging
from pathlib import Path

from lightning.pytorch import Trainer

from imtext.data import RetrievalDataModule
from imtext.training.callbacks import EpochSummary
from imtext.training.checkpoints import read_checkpoint, write_checkpoint
from imtext.training.distributed import is_rank_zero
from imtext.training.hubness import fit_hubness
from imtext.training.module import RetrievalModule
from imtext.training.sharding import load_whole_state, whole_state

log = logging.getLogger(__name__)


def summary_of(trainer: Trainer) -> EpochSummary | None:
    """The callback that keeps the history of a run; None if it was switched off."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, EpochSummary)), None)


def measure(
    trainer: Trainer, module: RetrievalModule, data: RetrievalDataModule
) -> tuple[dict[str, float], Path | None]:
    """Load the best checkpoint, correct hubs if the model does, and measure it on the validation and test splits.

    Returns:
        Training metrics of the last epoch and metrics of the best checkpoint; and the file of that checkpoint, None if
        none was kept. After `fast_dev_run`, only the metrics of its batches.
    """
    metrics = _of_last_epoch(trainer)
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return metrics, None
    kept = trainer.checkpoint_callback.best_model_path if trainer.checkpoint_callback else ""  # type: ignore[attr-defined]
    if kept:
        # Load only the weights: the trainer would also reset the callbacks to their state of that epoch.
        content = read_checkpoint(Path(kept))
        module.on_load_checkpoint(content)
        load_whole_state(module, content["state_dict"])
        metrics["best_epoch"] = float(content["epoch"] + 1)
    if module.model.hubness is not None:
        fit_hubness(module.model, data, trainer.strategy.root_device)
        weights = whole_state(module)
        if kept and is_rank_zero():
            write_checkpoint(Path(kept), {**content, "state_dict": weights})
    measured = trainer.validate(module, data, verbose=False)
    if len(data.rows["test"]) > 1:
        measured += trainer.test(module, data, verbose=False)
    else:
        log.info("The data has no test split; the metrics are those of validation.")
    for split_metrics in measured:
        metrics |= split_metrics
    return metrics, Path(kept) if kept else None


def _of_last_epoch(trainer: Trainer) -> dict[str, float]:
    summary = summary_of(trainer)
    # Lightning has no metrics of a run that was resumed after its last epoch, but the history has them.
    last = summary.history[-1] if summary is not None and summary.history else {}
    found = {**last, **{name: float(value) for name, value in trainer.callback_metrics.items()}}
    return {name: value for name, value in found.items() if not name.endswith("_step") and name != "epoch"}
