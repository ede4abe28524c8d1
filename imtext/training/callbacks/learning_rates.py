"""The learning rate of each part of the model."""

from __future__ import annotations

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

PARTS = ("image_encoder", "text_encoder", "projection", "loss")


class LearningRates(Callback):
    """Logs one learning rate for each part, as `lr/image_encoder`, every `trainer.log_every_n_steps` steps.

    The optimizer has more parameter groups than parts: with and without weight decay, and one for each block if rates
    are layer-wise. Weight decay does not change the rate. Among blocks, the highest rate is logged. The parameters of
    the loss have the rate of the projections and are logged only if their rate differs.

    `metrics.json` keeps the last logged rate of every parameter group, as `lr-AdamW/<group>`.
    """

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Log the rates that the coming step uses."""
        # + 1 as in Lightning's own logging, which counts the coming step.
        interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (trainer.global_step + 1) % interval and not trainer.should_stop:
            return
        (optimizer,) = trainer.optimizers
        rates = rates_by_part(optimizer)
        for logger in trainer.loggers:
            logger.log_metrics({f"lr/{part}": rate for part, rate in rates.items()}, step=trainer.global_step)
        device = trainer.strategy.root_device
        trainer.callback_metrics.update(
            {
                f"lr-{type(optimizer).__name__}/{group['name']}": torch.tensor(group["lr"], device=device)
                for group in optimizer.param_groups
            }
        )


def rates_by_part(optimizer: Optimizer) -> dict[str, float]:
    """The highest learning rate of each part in the optimizer, without `loss` if it equals `projection`.

    Args:
        optimizer: its parameter groups have names that begin with a part.
    """
    rates: dict[str, float] = {}
    for group in optimizer.param_groups:
        part = next(part for part in PARTS if group["name"].startswith(part))
        rates[part] = max(group["lr"], rates.get(part, 0.0))
    if rates.get("loss") == rates.get("projection"):
        rates.pop("loss", None)
    return {part: rates[part] for part in PARTS if part in rates}
