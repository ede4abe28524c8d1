"""Image towers: pictures ``[B, 3, H, W]`` → features ``[B, num_features]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from imtext.models.tower import Tower
from imtext.preprocess import Preprocess


class ImageEncoder(Tower):
    """An image tower: a sequence of blocks.

    A subclass defines `num_features`, `preprocess` and `blocks`.

    Args:
        train_batch_norm: update batch statistics in training. False keeps those of the pretrained weights, which suits
            small data sets and small batches.

    Attributes:
        preprocess: the input that the weights expect: size, mean, standard deviation and interpolation. Data settings
            can override it.
    """

    preprocess: Preprocess

    def __init__(self, train_batch_norm: bool = True) -> None:
        super().__init__()
        self.train_batch_norm = train_batch_norm

    def forward(self, image: Tensor, first_block: int = 0) -> Tensor:
        """``[B, 3, H, W]`` → ``[B, num_features]``.

        Args:
            image: pictures, or with `first_block` the result of `lower(pictures, first_block)`.
            first_block: the first block that is applied.
        """
        return self._run(image, self.blocks[first_block:])

    def lower(self, image: Tensor, blocks: int) -> Tensor:
        """The output of the first `blocks` blocks for pictures ``[B, 3, H, W]``."""
        return self._run(image, self.blocks[:blocks])

    def _run(self, maps: Tensor, blocks: Sequence[nn.Module]) -> Tensor:
        # The channels-last format is faster, but has given wrong results on MPS.
        if maps.ndim == 4 and maps.device.type != "mps":
            maps = maps.contiguous(memory_format=torch.channels_last)
        for block in blocks:
            maps = block(maps)
        return maps

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for frozen blocks and, without `train_batch_norm`, for batch norms."""
        super().train(mode)
        if not self.train_batch_norm:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self
