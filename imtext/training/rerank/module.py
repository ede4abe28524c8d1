"""The Lightning module that trains a re-ranker."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from imtext.evaluation.reranking import SecondLook, rerank_metrics
from imtext.models.dual_encoder import MAX_LOGIT_SCALE
from imtext.models.reranker import Reranker
from imtext.training.checkpoints import RERANKER
from imtext.training.rerank.batches import RerankBatch
from imtext.training.rerank.recipe import Recipe
from imtext.training.rerank.weight import fit_weight

log = logging.getLogger(__name__)
MONITOR = "val/rerank_t2i_mrr"  # chooses the best epoch
TRAINED, AVERAGE = "trained.", "average.module."  # names of the weights that learn, and of their average


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

    A running average of the weights is validated and saved, as in `imtext.training.callbacks.AverageWeights`.

    Args:
        reranker: the re-ranker.
        recipe: loss, optimizer and lengths.
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
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(recipe.temperature)))
        self.average = AveragedModel(reranker, avg_fn=_average(recipe.average))
        self._started = time.monotonic()

    # ---- training

    def on_train_epoch_start(self) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_batch_start(self, batch: RerankBatch, batch_idx: int) -> None:
        """Seed the dropout of this step from seed and step, so that a resumed run equals an uninterrupted one."""
        torch.manual_seed((self.seed * 1_000_003 + self.global_step * 1_009 + batch_idx) % 2**63)

    def training_step(self, batch: RerankBatch, batch_idx: int) -> Tensor:
        """Judge all pairs of a batch, see `symmetric_loss`."""
        grid = self.reranker.project(batch["tokens"])  # [B, P, G]
        judgement = self.reranker.judge(grid[None], batch["input_ids"], batch["attention_mask"])
        loss = symmetric_loss(self.logit_scale.exp() * judgement.float(), batch["own"], batch["also"])
        self.log("rerank/loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=len(judgement))
        return loss

    def on_train_batch_end(self, outputs: Any, batch: RerankBatch, batch_idx: int) -> None:
        """Keep the temperature in bounds, and average the weights."""
        with torch.no_grad():
            self.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        self.average.update_parameters(self.reranker)

    def configure_optimizers(self) -> Any:
        """The optimizer, with its schedule over all steps of the run."""
        learning = [*self.reranker.parameters(), self.logit_scale]
        optimizer, schedule = self.recipe.optimizer(learning, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # ---- validation

    def on_train_epoch_end(self) -> None:
        """Validate if it is due, fit the weight, and log a line."""
        epoch, last = self.current_epoch + 1, self.trainer.max_epochs or 0
        loss = float(self.trainer.callback_metrics.get("rerank/loss_epoch", torch.nan))
        line = f"re-ranker, epoch {epoch}/{last}  loss {loss:.3f}"
        if self.validation is not None and (epoch % self.recipe.validate_every == 0 or epoch == last):
            average = self.average.module
            assert isinstance(average, Reranker)
            metrics = validate(self.validation, average)
            self.reranker.weight.copy_(average.weight)  # the next average copies it
            for name, value in metrics.items():
                self.log(f"val/{name}", value)
            before = (self.validation.lists.ranks <= 1).float().mean().item()
            line += f"  val text→image R@1: {100 * before:.1f} % → {100 * metrics['rerank_t2i_r@1']:.1f} %"
        log.info("%s  %.0f s", line, time.monotonic() - self._started)

    # ---- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the dual encoder and everything that is needed to rebuild both; `reranker.*` is the average."""
        state = renamed(checkpoint["state_dict"], {RERANKER: TRAINED, AVERAGE: RERANKER})
        checkpoint["state_dict"] = {**state, **self.saved.state}
        checkpoint["imtext"] = self.saved.facts

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The reverse of `on_save_checkpoint`."""
        state = {name: value for name, value in checkpoint["state_dict"].items() if name not in self.saved.state}
        checkpoint["state_dict"] = renamed(state, {RERANKER: AVERAGE, TRAINED: RERANKER})


def symmetric_loss(logits: Tensor, own: Tensor, also: Tensor) -> Tensor:
    """Each caption must find its picture among the others, and each picture every one of its captions.

    InfoNCE in both directions, as the dual encoder is trained with: captions of the same picture are never negatives
    of each other, nor is a picture that has a caption of the same text.

    Args:
        logits: ``[N, B]`` of N captions and B pictures.
        own: ``[N]`` int64, position of each caption's picture.
        also: ``[N, B]`` bool, further pictures with a caption of the same text.
    """
    lowest = torch.finfo(logits.dtype).min / 2  # not -inf, whose gradient is undefined where nothing else is left
    logits = logits.masked_fill(also, lowest)
    to_picture = F.cross_entropy(logits, own)
    right = logits.gather(1, own[:, None]).squeeze(1)
    matching = own[:, None] == torch.arange(logits.shape[1], device=own.device)
    wrong = logits.masked_fill(matching, lowest).logsumexp(dim=0)[own]
    to_caption = (torch.logaddexp(right, wrong) - right).mean()
    return (to_picture + to_caption) / 2


def renamed(state: Mapping[str, Tensor], prefixes: Mapping[str, str]) -> dict[str, Tensor]:
    """A state dict with other beginnings of its names."""
    found = {}
    for name, value in state.items():
        old = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
        found[prefixes.get(old, "") + name.removeprefix(old)] = value
    return found


def _average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """An exponential running average that forgets the first steps sooner."""

    def average(old: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        return torch.lerp(old, new, 1 - min(decay, (1 + int(count)) / (10 + int(count))))

    return average


def validate(look: SecondLook, reranker: Reranker) -> dict[str, float]:
    """Fit the weight of a re-ranker on a split, and measure the re-ranked order there.

    Returns:
        `rerank_metrics` without intervals, and `rerank_weight`.
    """
    judgement = look.judgement(reranker, "Validating")
    weight = fit_weight(look.lists, judgement)
    reranker.weight.fill_(weight)
    ranks = look.lists.reranked(reranker.combine(judgement, look.lists.similarity))
    return {**rerank_metrics(look, ranks, intervals=False), "rerank_weight": weight}
