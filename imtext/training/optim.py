"""The optimizer: learning rates by tower and depth, and a schedule over all steps of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from imtext.errors import ConfigError
from imtext.losses import Loss
from imtext.models import DualEncoder

Schedule = Literal["cosine", "linear", "constant"]


@dataclass
class _Group:
    """Parameters with one learning rate and one weight decay."""

    name: str
    lr: float
    weight_decay: float
    params: list[nn.Parameter] = field(default_factory=list)


class AdamW:
    """A recipe for AdamW (Loshchilov & Hutter, 2019) with warm-up and decay of the learning rate.

    Args:
        lr: base learning rate; the three scales multiply it.
        image_encoder_lr_scale: scale for the image tower, which is usually pretrained.
        text_encoder_lr_scale: scale for the text tower; random weights need a rate several times higher.
        projection_lr_scale: scale for both projections, the temperature and the parameters of the loss.
        weight_decay: on matrices only; norms, biases and the temperature do not decay.
        betas: decay rates of the running means.
        schedule: learning rate after warm-up: ``cosine`` or ``linear`` down to zero, or ``constant``.
        warmup: share of all steps in which the learning rate grows from zero.
        image_encoder_layer_decay: learning rate of a block of the image tower relative to the block above it; 1 for
            equal rates. Lower blocks have learnt more general features, which should change less.
        text_encoder_layer_decay: the same for the text tower.

    Raises:
        ConfigError: a value is out of range.
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
        text_encoder_layer_decay: float = 1.0,
    ) -> None:
        self.layer_decay = {"image_encoder": image_encoder_layer_decay, "text_encoder": text_encoder_layer_decay}
        for tower, decay in self.layer_decay.items():
            if not 0 < decay <= 1:
                raise ConfigError(f"optim.{tower}_layer_decay must be above 0 and at most 1, not {decay}")
        if lr <= 0:
            raise ConfigError(f"optim.lr must be above zero, not {lr}")
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ConfigError(f"optim.betas takes two numbers, 0 ≤ beta < 1, not {list(betas)}")
        if not 0 <= warmup < 1:
            raise ConfigError(f"optim.warmup is a share of all steps, 0 ≤ warmup < 1, not {warmup}")
        if schedule not in get_args(Schedule):
            raise ConfigError(f"optim.schedule must be one of {', '.join(get_args(Schedule))}, not {schedule!r}")
        self.lr, self.weight_decay, self.betas = lr, weight_decay, (float(betas[0]), float(betas[1]))
        self.lr_scale = {
            "image_encoder": image_encoder_lr_scale,
            "text_encoder": text_encoder_lr_scale,
            "projection": projection_lr_scale,
            "loss": projection_lr_scale,
        }
        self.schedule, self.warmup = schedule, warmup

    def build(self, model: DualEncoder, loss: Loss, total_steps: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """The optimizer, and the schedule that is stepped after every optimizer step.

        Every parameter is included from the first step on, frozen or not, so that a resumed run has the same groups.
        AdamW skips parameters without a gradient.

        Args:
            model: dual encoder; `parameter_group` returns the group of each parameter.
            loss: loss; its parameters are the group ``loss``.
            total_steps: number of steps of the whole run.
        """
        groups: dict[str, _Group] = {}
        for part, blocks_above, parameter in self._parameters(model, loss):
            decays = parameter.ndim > 1
            name = f"{part}{f'_{blocks_above}_below' if blocks_above else ''}{'' if decays else '_no_decay'}"
            if name not in groups:
                rate = self.lr * self.lr_scale[part] * self.layer_decay.get(part, 1) ** blocks_above
                groups[name] = _Group(name, rate, self.weight_decay if decays else 0.0)
            groups[name].params.append(parameter)
        settings: list[dict[str, Any]] = [vars(group) for group in groups.values()]
        optimizer = torch.optim.AdamW(settings, lr=self.lr, betas=self.betas)
        return optimizer, LambdaLR(optimizer, lambda step: self.factor(step, total_steps))

    def _parameters(self, model: DualEncoder, loss: Loss) -> Iterator[tuple[str, int, nn.Parameter]]:
        """The group name, the number of blocks above, and the parameter, for each parameter."""
        blocks_above: dict[nn.Parameter, int] = {}
        for tower in (model.image_encoder, model.text_encoder):
            blocks = [block for block in tower.blocks if any(True for _ in block.parameters())]
            for above, block in enumerate(reversed(blocks)):
                blocks_above |= dict.fromkeys(block.parameters(), above)
        for name, parameter in model.named_parameters():
            part = model.parameter_group(name)
            by_depth = self.layer_decay.get(part, 1) < 1
            yield part, blocks_above[parameter] if by_depth else 0, parameter
        for parameter in loss.parameters():
            yield "loss", 0, parameter

    def factor(self, step: int, total_steps: int) -> float:
        """The factor by which the schedule multiplies all learning rates at a step."""
        warmup_steps = round(self.warmup * total_steps)
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        return 1.0 - done if self.schedule == "linear" else 1.0
