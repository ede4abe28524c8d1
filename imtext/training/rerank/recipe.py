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
    """How a re-ranker is trained: each caption must find its picture among those that the dual encoder confuses.

    Each step has some pictures with their captions, and scores all pairs. The pictures come in groups of neighbours:
    the wrong pictures that the dual encoder likes for a caption (as the hard negatives of Nogueira & Cho, "Passage
    re-ranking with BERT", 2019).

    Args:
        pictures_per_step: pictures of a step, each with its captions.
        group: pictures of a group; 1 for random pictures.
        neighbours: the nearest pictures, among which the others of a group are drawn.
        captions_per_picture: captions of a picture in a step, drawn again every epoch; null takes all.
        max_epochs: number of epochs; each one has every training picture once.
        validate_every: epochs between two validations; the last epoch is always validated.
        rerank_top_k: pictures of a validation caption that are scored again.
        views: the picture, and `views - 1` augmented variants of it, whose tokens are computed once and kept on disk.
        lr: learning rate, which rises during `warmup` and then falls to zero along a cosine.
        weight_decay: on matrices only.
        warmup: share of all steps in which the learning rate grows from zero.
        temperature: divides scores in the loss; the initial value, it is learnt.
        average: weight of the old average at each step; the running average of the weights is validated and kept.

    Raises:
        ConfigError: a value is out of range.
    """

    pictures_per_step: int = 32
    group: int = 8
    neighbours: int = 50
    captions_per_picture: int | None = 3
    max_epochs: int = 12
    validate_every: int = 3
    rerank_top_k: int = TOP_K
    views: int = 4
    lr: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    temperature: float = 0.07
    average: float = 0.995

    def __post_init__(self) -> None:
        if self.pictures_per_step < 2:
            raise ConfigError(f"rerank.pictures_per_step={self.pictures_per_step} must be at least 2")
        for name in ("group", "neighbours", "max_epochs", "validate_every", "rerank_top_k", "views"):
            if getattr(self, name) < 1:
                raise ConfigError(f"rerank.{name}={getattr(self, name)} must be at least 1")
        if self.group > self.pictures_per_step:
            raise ConfigError(
                f"rerank.group={self.group} is more than rerank.pictures_per_step={self.pictures_per_step}"
            )
        if self.captions_per_picture is not None and self.captions_per_picture < 1:
            raise ConfigError(f"rerank.captions_per_picture={self.captions_per_picture} must be at least 1, or null")
        if self.lr <= 0:
            raise ConfigError(f"rerank.lr must be above zero, not {self.lr}")
        if not 0 < self.temperature <= 10:
            raise ConfigError(f"rerank.temperature must be above 0 and at most 10, not {self.temperature}")
        if not 0 <= self.average < 1:
            raise ConfigError(f"rerank.average must be between 0 and 1, not {self.average}")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"rerank.warmup is a share of all steps, 0 ≤ warmup < 1, not {self.warmup}")

    def optimizer(self, parameters: list[nn.Parameter], total_steps: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """AdamW, and the schedule that is stepped after every step."""
        groups = [
            {"params": list(_matrices(parameters, True)), "weight_decay": self.weight_decay},
            {"params": list(_matrices(parameters, False)), "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.lr, betas=(0.9, 0.98))
        schedule = AdamW(warmup=self.warmup)
        return optimizer, LambdaLR(optimizer, lambda step: schedule.factor(step, total_steps))


def _matrices(parameters: list[nn.Parameter], wanted: bool) -> Iterator[nn.Parameter]:
    return (parameter for parameter in parameters if (parameter.ndim > 1) is wanted)
