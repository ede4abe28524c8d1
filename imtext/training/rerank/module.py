"""The Lightning module that trains a re-ranker."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F

from imtext.evaluation.reranking import SecondLook, rerank_metrics
from imtext.models.reranker import Reranker
from imtext.training.rerank.batches import RerankBatch
from imtext.training.rerank.recipe import Recipe
from imtext.training.rerank.weight import fit_weight, judge

log = logging.getLogger(__name__)
MONITOR = "val/rerank_t2i_mrr"  # chooses the best epoch


@dataclass
class Saved:
    """What a checkpoint holds beside the re-ranker.

    Attributes:
        state: weights of the dual encoder, by name in the checkpoint.
        facts: `checkpoint["imtext"]` of the dual encoder, with the settings of the re-ranker.
    """

    state: Mapping[str, Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


class RerankModule(LightningModule):
    """Trains a `Reranker`; its dual encoder does not learn.

    Args:
        reranker: the re-ranker.
        recipe: losses, optimizer and lengths.
        validation: the validation split; None skips validation.
        saved: added to checkpoints, so that nothing else is needed to rebuild both models.
        seed: seed of the run.
    """

    reranker: Reranker

    def __init__(
        self, reranker: Reranker, recipe: Recipe, validation: SecondLook | None, saved: Saved, seed: int = 0
    ) -> None:
        super().__init__()
        self.reranker, self.recipe, self.seed = reranker, recipe, seed
        self.validation, self.saved = validation, saved
        self._started = time.monotonic()

    # ---- training

    def on_train_epoch_start(self) -> None:
        """Train the judgement itself: its weight is that of the last validation."""
        self.reranker.weight.fill_(1.0)
        self._started = time.monotonic()

    def on_train_batch_start(self, batch: RerankBatch, batch_idx: int) -> None:
        """Seed the dropout of this step from seed and step, so that a resumed run equals an uninterrupted one."""
        torch.manual_seed((self.seed * 1_000_003 + self.global_step * 1_009 + batch_idx) % 2**63)

    def training_step(self, batch: RerankBatch, batch_idx: int) -> Tensor:
        """Cross-entropy of each caption's own picture among its candidates, without the dual encoder's similarity."""
        scores = self.judge(batch)
        target = torch.zeros(len(scores), dtype=torch.int64, device=scores.device)
        loss = F.cross_entropy(scores, target)
        size = len(scores)
        self.log("rerank/loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=size)
        right = (scores[:, :1] > scores[:, 1:]).all(dim=1).float().mean()
        self.log("rerank/right", right, on_step=False, on_epoch=True, batch_size=size)
        return loss

    def judge(self, batch: RerankBatch) -> Tensor:
        """The judgement ``[N, K]`` of a batch; -inf where there is no picture."""
        picture = batch["picture"]
        grid = self.reranker.project(batch["tokens"])  # [U, P, G]
        # Not `grid[picture]`: the backward pass of indexing is slower and, on a GPU, not reproducible.
        grid = grid.flatten(1).index_select(0, picture.flatten()).view(*picture.shape, *grid.shape[1:])
        similarity = torch.zeros(picture.shape, device=grid.device)
        scores = self.reranker(grid, batch["input_ids"], batch["attention_mask"], similarity)
        return scores.float().masked_fill(~batch["real"], -torch.inf)

    def configure_optimizers(self) -> Any:
        """The optimizer, with its schedule over all steps of the run."""
        optimizer, schedule = self.recipe.optimizer(self.reranker, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # ---- validation

    def on_train_epoch_end(self) -> None:
        """Validate if it is due, fit the weight, and log a line."""
        epoch, last = self.current_epoch + 1, self.trainer.max_epochs or 0
        loss = float(self.trainer.callback_metrics.get("rerank/loss_epoch", torch.nan))
        line = f"re-ranker, epoch {epoch}/{last}  loss {loss:.3f}"
        if self.validation is not None and (epoch % self.recipe.validate_every == 0 or epoch == last):
            metrics = validate(self.validation, self.reranker)
            for name, value in metrics.items():
                self.log(f"val/{name}", value)
            before = (self.validation.lists.ranks <= 1).float().mean().item()
            line += f"  val text→image R@1: {100 * before:.1f} % → {100 * metrics['rerank_t2i_r@1']:.1f} %"
        log.info("%s  %.0f s", line, time.monotonic() - self._started)

    # ---- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the dual encoder and everything that is needed to rebuild both."""
        checkpoint["state_dict"] |= self.saved.state
        checkpoint["imtext"] = self.saved.facts

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the dual encoder out."""
        own = {name: value for name, value in checkpoint["state_dict"].items() if name not in self.saved.state}
        checkpoint["state_dict"] = own


def validate(look: SecondLook, reranker: Reranker) -> dict[str, float]:
    """Fit the weight of a re-ranker on a split, and measure the re-ranked order there.

    Returns:
        `rerank_metrics` without intervals, and `rerank_weight`.
    """
    judgement = judge(look, reranker)
    weight = fit_weight(look.lists, judgement)
    reranker.weight.fill_(weight)
    ranks = look.lists.reranked(look.lists.similarity + weight * judgement)
    return {**rerank_metrics(look, ranks, intervals=False), "rerank_weight": weight}
