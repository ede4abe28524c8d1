"""Image towers: pictures ``[B, 3, H, W]`` → features ``[B, num_features]``."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from imtext.errors import ConfigError
from imtext.models.tower import Tower
from imtext.preprocess import Preprocess


class ImageEncoder(Tower):
    """An image tower: a sequence of blocks, the last of which pools over the picture.

    A subclass defines `num_features`, `preprocess` and `blocks`.

    Args:
        train_batch_norm: update batch statistics in training. False keeps those of the pretrained weights, which suits
            small data sets and small batches.

    Attributes:
        preprocess: the input that the weights expect: size, mean, standard deviation and interpolation. Data settings
            can override it.
        fixed_image_size: the only side of a picture that the network takes, in pixels; None: any size.
        num_prefix_tokens: number of tokens that belong to no place in the picture (class and register tokens). They
            come first in the input of the last block.
    """

    preprocess: Preprocess
    fixed_image_size: int | None = None
    num_prefix_tokens: int = 0

    def __init__(self, train_batch_norm: bool = True) -> None:
        super().__init__()
        self.train_batch_norm = train_batch_norm

    @property
    def num_token_features(self) -> int:
        """Size of a token that `tokens` returns."""
        return self.num_features

    def forward(self, image: Tensor, first_block: int = 0) -> Tensor:
        """``[B, 3, H, W]`` → ``[B, num_features]``.

        Args:
            image: pictures, or with `first_block` the result of `lower(pictures, first_block)`.
            first_block: the first block that is applied.

        Raises:
            ConfigError: the network takes pictures of another size.
        """
        return self._run(image, first_block, len(self.blocks))

    def lower(self, image: Tensor, blocks: int) -> Tensor:
        """The output of the first `blocks` blocks for pictures ``[B, 3, H, W]``.

        Raises:
            ConfigError: the network takes pictures of another size.
        """
        return self._run(image, 0, blocks)

    def tokens(self, image: Tensor, first_block: int = 0) -> Tensor:
        """The features of every place in the picture, before the last block pools them.

        Args:
            image: pictures ``[B, 3, H, W]``, or with `first_block` the result of `lower(pictures, first_block)`.
            first_block: the first block that is applied.

        Returns:
            ``[B, P, num_token_features]`` for P places, row by row from the top left.

        Raises:
            ConfigError: the tower is a single block, or takes pictures of another size.
            ValueError: `first_block` is above the last block, so the places are pooled already.
        """
        last = len(self.blocks) - 1
        if last == 0:
            raise ConfigError(
                f"{type(self).__name__} is a single block here, which only returns features of the whole picture. "
                "Features of places need an image tower of several blocks."
            )
        if first_block > last:
            raise ValueError(f"The output of {first_block} blocks is pooled; tokens need at most {last} blocks")
        features = self._run(image, first_block, last)
        return as_tokens(features, self.num_prefix_tokens)

    def _run(self, maps: Tensor, first: int, last: int) -> Tensor:
        """Apply the blocks ``first`` … ``last - 1``."""
        if first == 0 and self.fixed_image_size not in (None, maps.shape[-1]):
            raise ConfigError(
                f"The image tower takes pictures of {self.fixed_image_size} pixels, not {maps.shape[-1]}: "
                "leave data.image_size=null, or set model.image_encoder.image_size if the tower has this setting"
            )
        # The channels-last format is faster, but has given wrong results on MPS.
        if maps.ndim == 4 and maps.device.type != "mps":
            maps = maps.contiguous(memory_format=torch.channels_last)
        for block in self.blocks[first:last]:
            maps = block(maps)
        return maps

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for frozen blocks and, without `train_batch_norm`, for batch norms."""
        super().train(mode)
        if not self.train_batch_norm:
            for module in batch_norms(self):
                module.eval()
        return self


def as_tokens(features: Tensor, num_prefix_tokens: int) -> Tensor:
    """The input of the last block, ``[B, C, H, W]`` or ``[B, num_prefix_tokens + P, C]`` → its places ``[B, P, C]``."""
    return features.flatten(2).transpose(1, 2) if features.ndim == 4 else features[:, num_prefix_tokens:]


def batch_norms(network: nn.Module) -> list[_BatchNorm]:
    """All batch norms of a network, subclasses included (timm's contain the activation)."""
    return [module for module in network.modules() if isinstance(module, _BatchNorm)]


def average_batches_faster(network: nn.Module) -> None:
    """Let the batch statistics of evaluation follow random weights.

    Networks that are published with weights may average statistics over a hundred steps or more. Random weights change
    faster than that, and evaluation would use statistics of earlier weights.
    """
    for module in batch_norms(network):
        module.momentum = 0.1
