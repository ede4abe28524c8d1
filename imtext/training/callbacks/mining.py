"""Mining at the right time: before the batches of an epoch are composed."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from imtext.data.datamodule import RetrievalDataModule
from imtext.data.order import Neighbours
from imtext.training.distributed import is_rank_zero
from imtext.training.mining import mine
from imtext.training.module import RetrievalModule


class MineNeighbours(Callback):
    """Mines the neighbours of `data.order` before the epochs in which that is due.

    The program adds it by itself. It uses the weights that train, also if `AverageWeights` validates and saves an
    average: an average lags behind, and confuses other pictures. The neighbours are saved in checkpoints, so a resumed
    run continues with those of the interrupted run.

    Args:
        order: gets the neighbours.
    """

    def __init__(self, order: Neighbours) -> None:
        self.order = order

    def state_dict(self) -> dict[str, Any]:
        """The neighbours, and the epoch that they were mined for."""
        found = self.order.neighbours
        return {"neighbours": None if found is None else torch.from_numpy(found), "mined_for": self.order.mined_for}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the neighbours on resume."""
        if state_dict["neighbours"] is not None:
            self.order.use(state_dict["neighbours"].numpy(), state_dict["mined_for"])

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Mine for the first epoch of a new or resumed run: Lightning begins to fetch its batches before the epoch."""
        data: RetrievalDataModule = trainer.datamodule  # type: ignore[attr-defined]
        if self.order.neighbours is not None and len(self.order.neighbours) != len(data.rows["train"]):
            self.order.neighbours, self.order.mined_for = None, None  # the run resumes with other data
        self._mine(trainer, pl_module, data, data.first_epoch)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Mine for a later epoch, whose batches are fetched after this."""
        self._mine(trainer, pl_module, trainer.datamodule, trainer.current_epoch)  # type: ignore[attr-defined]

    def _mine(self, trainer: Trainer, module: LightningModule, data: RetrievalDataModule, epoch: int) -> None:
        assert isinstance(module, RetrievalModule)
        if trainer.fast_dev_run or not self.order.due(epoch):  # type: ignore[attr-defined]
            return
        found: Any = mine(trainer, module, data, self.order, epoch) if is_rank_zero() else None
        self.order.use(trainer.strategy.broadcast(found), epoch)
