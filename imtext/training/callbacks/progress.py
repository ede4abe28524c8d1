"""The progress bar."""

from __future__ import annotations

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar

from imtext.training.module import RetrievalModule


def epoch_label(trainer: Trainer) -> str:
    """The current epoch, counted from 1, and its stage if there are several: `epoch 2/10 heads`."""
    module = trainer.lightning_module
    stage = ""
    if isinstance(module, RetrievalModule) and len(module.plan.stages) > 1:  # a re-ranker has no stages
        stage = f" {module.plan.name_at(trainer.current_epoch)}"
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}{stage}"


class ProgressBar(RichProgressBar):
    """Lightning's progress bar with the loss, and with epochs counted from 1 as in the log."""

    def _get_train_description(self, current_epoch: int) -> str:
        # Lightning has no public hook for the description. A test fails when it no longer calls this one, and
        # pyproject.toml bounds its version.
        return epoch_label(self.trainer)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """The metrics to the right of the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        loss = metrics.get("train/loss_step", metrics.get("rerank/loss_step"))
        return {} if loss is None else {"loss": loss}
