"""The settings of the training of a re-ranker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from imtext.errors import ConfigError
from imtext.evaluation.reranking import TOP_K
from imtext.training.optim import AdamW


@dataclass(frozen=True)
class Recipe:
    """How a re-ranker is trained: each caption must find its picture among wrong ones that the dual encoder likes.

    A listwise softmax over candidates that the first step found (Nogueira & Cho, "Passage re-ranking with BERT", 2019).

    Args:
        candidates: the wrong pictures nearest to a caption by the dual encoder, from which negatives are drawn.
        num_negatives: wrong pictures beside the right one at each step.
        captions_per_step: captions of a step.
        max_epochs: number of epochs; each one has all training captions.
        validate_every: epochs between two validations; the last epoch is always validated.
        rerank_top_k: pictures of a validation caption that are scored again.
        views: the picture, and `views - 1` augmented variants of it, whose tokens are computed once and kept on disk.
        lr: learning rate, which rises during `warmup` and then falls to zero along a cosine.
        weight_decay: on matrices only.
        warmup: share of all steps in which the learning rate grows from zero.

    Raises:
        ConfigError: a value is out of range.
    """

    candidates: int = 100
    num_negatives: int = 15
    captions_per_step: int = 32
    max_epochs: int = 6
    validate_every: int = 2
    rerank_top_k: int = TOP_K
    views: int = 4
    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.1

    def __post_init__(self) -> None:
        names = ("num_negatives", "captions_per_step", "max_epochs", "validate_every", "rerank_top_k", "views")
        for name in names:
            if getattr(self, name) < 1:
                raise ConfigError(f"rerank.{name}={getattr(self, name)} must be at least 1")
        if self.candidates < self.num_negatives:
            raise ConfigError(
                f"rerank.candidates={self.candidates} must be at least rerank.num_negatives={self.num_negatives}, "
                "which are drawn from them"
            )
        if self.lr <= 0:
            raise ConfigError(f"rerank.lr must be above zero, not {self.lr}")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"rerank.warmup is a share of all steps, 0 ≤ warmup < 1, not {self.warmup}")

    def optimizer(self, model: nn.Module, total_steps: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """AdamW, and the schedule that is stepped after every step."""
        groups = [
            {"params": list(_matrices(model, True)), "weight_decay": self.weight_decay},
            {"params": list(_matrices(model, False)), "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.lr, betas=(0.9, 0.98))
        schedule = AdamW(warmup=self.warmup)
        return optimizer, LambdaLR(optimizer, lambda step: schedule.factor(step, total_steps))


def _matrices(model: nn.Module, wanted: bool) -> Iterator[nn.Parameter]:
    return (parameter for parameter in model.parameters() if (parameter.ndim > 1) is wanted)
