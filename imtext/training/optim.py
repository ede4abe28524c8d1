"""The optimizer: learning rates by tower and depth, and a schedule over the whole training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from imtext.errors import ConfigError
from imtext.models import DualEncoder

Schedule = Literal["cosine", "linear", "constant"]
PARTS = ("image_encoder", "text_encoder", "projection")  # of a dual encoder, each with its learning rate


class AdamW:
    """AdamW (Loshchilov & Hutter, 2019) with warm-up and decay, as a recipe that is applied to a model.

    Args:
        lr: the learning rate that the three scales multiply.
        image_encoder_lr_scale: for the image tower, which is usually pretrained.
        text_encoder_lr_scale: for the text tower; from random weights it wants several times more.
        projection_lr_scale: for both projections and the temperature.
        weight_decay: on matrices only; norms, biases and the temperature are left alone.
        betas: decay of the running means.
        schedule: what becomes of the learning rate after warm-up: ``cosine`` or ``linear`` down to zero, or
            ``constant``.
        warmup: share of all steps in which the learning rate grows from zero.
        image_encoder_layer_decay: each block of the image tower learns at so many times the rate of the one above
            it (1: all at the same); lower blocks know more general things, which are better left alone.
    """

    def __init__(
        self,
        lr: float = 1e-4,
        image_encoder_lr_scale: float = 1.0,
        text_encoder_lr_scale: float = 10.0,
        projection_lr_scale: float = 10.0,
        weight_decay: float = 0.01,
        betas: Sequence[float] = (0.9, 0.98),
        schedule: Schedule = "cosine",
        warmup: float = 0.05,
        image_encoder_layer_decay: float = 1.0,
    ) -> None:
        if not 0 < image_encoder_layer_decay <= 1:
            raise ConfigError(f"optim.image_encoder_layer_decay is above 0 and at most 1: {image_encoder_layer_decay}")
        if lr <= 0:
            raise ConfigError(f"optim.lr must be above zero, not {lr}")
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ConfigError(f"optim.betas takes two numbers, 0 ≤ beta < 1, not {list(betas)}")
        if not 0 <= warmup < 1:
            raise ConfigError(f"optim.warmup is a share of all steps, 0 ≤ warmup < 1, not {warmup}")
        if schedule not in get_args(Schedule):
            raise ConfigError(f"optim.schedule must be one of {', '.join(get_args(Schedule))}, not {schedule!r}")
        self.lr, self.weight_decay = lr, weight_decay
        scales = (image_encoder_lr_scale, text_encoder_lr_scale, projection_lr_scale)
        self.lr_scale = dict(zip(PARTS, scales, strict=True))
        self.betas = (float(betas[0]), float(betas[1]))
        self.schedule, self.warmup, self.layer_decay = schedule, warmup, image_encoder_layer_decay

    def build(self, model: DualEncoder, total_steps: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """Optimizer and per-step schedule for a `DualEncoder`.

        Every parameter is in it from the first step on, frozen or not: a resumed training then finds the same
        groups, and AdamW passes over parameters without gradient.
        """
        depth = self._depth(model)
        groups: dict[tuple[str, int, bool], list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            part = name.split(".")[0]
            key = (part if part in self.lr_scale else "projection", depth.get(parameter, 0), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
        optimizer = torch.optim.AdamW(
            [
                {
                    "name": f"{part}{f'_{below}_below' if below else ''}{'' if decay else '_no_decay'}",
                    "params": parameters,
                    "lr": self.lr * self.lr_scale[part] * self.layer_decay**below,
                    "weight_decay": self.weight_decay if decay else 0.0,
                }
                for (part, below, decay), parameters in groups.items()
            ],
            lr=self.lr,
            betas=self.betas,
        )
        return optimizer, LambdaLR(optimizer, lambda step: self.factor(step, total_steps))

    def _depth(self, model: DualEncoder) -> dict[nn.Parameter, int]:
        """How many blocks of the image tower lie above a parameter; nothing where all learn at the same rate."""
        if self.layer_decay == 1:
            return {}
        blocks = [block for block in model.image_encoder.blocks if any(True for _ in block.parameters())]
        return {parameter: below for below, block in enumerate(reversed(blocks)) for parameter in block.parameters()}

    def factor(self, step: int, total_steps: int) -> float:
        """What the learning rates are multiplied with at a step."""
        warmup_steps = round(self.warmup * total_steps)
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        return 1.0 - done if self.schedule == "linear" else 1.0
