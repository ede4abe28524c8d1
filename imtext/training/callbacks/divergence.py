"""Ends a run whose loss or weights are no longer finite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.distributed.tensor import DTensor

from imtext.errors import DivergedError
from imtext.training.distributed import world_size

STATISTICS = ("running_mean", "running_var")  # of batch norms; other buffers, such as masks, may be infinite


class StopWhenDiverged(Callback):
    """Ends a run as failed when its loss or a weight becomes infinite or NaN, before a checkpoint of it is written.

    The step is noted on the device, because reading the loss in every step would make a GPU wait. It is read when
    Lightning logs, and the weights are read at the end of an epoch and before a checkpoint.

    Args:
        setting: name of the setting of the learning rate, for the message.
        rate: its value.
    """

    def __init__(self, setting: str, rate: float) -> None:
        self.setting, self.rate = setting, rate
        self._checked = -1  # the last step after which the weights were read
        self._since: Tensor | None = None  # the first step whose loss was not finite, 0 for none; on the device

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note whether the loss is finite, and look at the notes when Lightning logs."""
        loss = outputs["loss"].detach()
        if self._since is None:
            self._since = torch.zeros((), dtype=torch.int64, device=loss.device)
        first = ~loss.isfinite() & (self._since == 0)
        self._since = torch.where(first, max(1, trainer.global_step), self._since)
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._check_loss(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check before an epoch is validated."""
        if trainer.state.fn == "fit":
            self._check(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check an epoch before its summary and its checkpoints."""
        self._check(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Check before a checkpoint that is written within an epoch."""
        self._check(trainer, pl_module)

    def _check(self, trainer: Trainer, module: LightningModule) -> None:
        if self._checked == trainer.global_step:
            return
        self._checked = trainer.global_step
        self._check_loss(trainer)
        if name := _not_finite(module):
            raise self._error(trainer, f"The weights {name} are not finite after step {trainer.global_step}")

    def _check_loss(self, trainer: Trainer) -> None:
        if self._since is not None and (step := int(self._since)):
            raise self._error(trainer, f"The loss is not finite in step {step}")

    def _error(self, trainer: Trainer, what: str) -> DivergedError:
        changes = [f"{self.setting}={self.rate / 10:g} instead of {self.rate:g}"]
        if not 0 < (trainer.gradient_clip_val or 0) <= 1:
            changes.append("trainer.gradient_clip_val=1.0")
        if trainer.precision != "32-true":
            changes.append(f"trainer.precision=32-true instead of {trainer.precision}")
        kept = ", ".join(map(str, _checkpoints(trainer))) if trainer.current_epoch else ""
        left = f"The checkpoints of the epochs before are usable: {kept}" if kept else "No epoch was completed."
        return DivergedError(
            f"{what} (epoch {trainer.current_epoch + 1}): the training has diverged. Try {' or '.join(changes)}. {left}"
        )


def _not_finite(module: LightningModule) -> str:
    """The name of the first weights or statistics that are not finite; empty if there are none."""
    named = dict(_weights(module))
    own = [each.to_local() if isinstance(each, DTensor) else each for each in named.values()]
    finite = torch.stack([values.isfinite().all() for values in own]).int()  # read together: one wait for a GPU
    if world_size() > 1:  # with `trainer=fsdp` each process has other parts of the weights, and all must stop
        dist.all_reduce(finite, dist.ReduceOp.MIN)
    return next((name for name, good in zip(named, finite.tolist(), strict=True) if not good), "")


def _weights(module: LightningModule) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from (each for each in module.named_buffers() if each[0].endswith(STATISTICS))


def _checkpoints(trainer: Trainer) -> Iterator[Path]:
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.best_model_path:
            yield Path(callback.best_model_path)
