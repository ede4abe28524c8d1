"""Image towers: pictures ``[B, 3, H, W]`` → features ``[B, num_features]``."""

from __future__ import annotations

import hashlib
import logging
import pickle
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import MobileNet_V3_Small_Weights, mobilenet_v3_small

from imtext.errors import ConfigError

log = logging.getLogger(__name__)


class ImageEncoder(nn.Module, ABC):
    """An image tower: blocks that are applied one after the other, of which the lower ones can be frozen.

    Args:
        train_batch_norm: let batch statistics follow the training pictures; otherwise they stay what the weights
            came with, which suits small data sets and small batches.
    """

    num_features: int

    def __init__(self, train_batch_norm: bool = True) -> None:
        super().__init__()
        self.train_batch_norm, self.num_frozen = train_batch_norm, 0

    @property
    @abstractmethod
    def blocks(self) -> list[nn.Module]:
        """All that is applied, from the picture up."""

    def forward(self, image: Tensor, first_block: int = 0) -> Tensor:
        """``[B, 3, H, W]`` → ``[B, num_features]``; or from what `lower` made of it with so many blocks."""
        return self._run(image, self.blocks[first_block:])

    def lower(self, image: Tensor, blocks: int) -> Tensor:
        """What the first blocks make of ``[B, 3, H, W]``."""
        return self._run(image, self.blocks[:blocks])

    def _run(self, maps: Tensor, blocks: Sequence[nn.Module]) -> Tensor:
        if maps.ndim == 4 and maps.device.type != "mps":  # where this layout has given wrong results; elsewhere faster
            maps = maps.contiguous(memory_format=torch.channels_last)
        for block in blocks:
            maps = block(maps)
        return maps

    def freeze(self, blocks: int) -> None:
        """From now on the first blocks keep their weights and batch statistics, and the others learn."""
        self.num_frozen = blocks
        for number, block in enumerate(self.blocks):
            block.requires_grad_(number >= blocks)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Training mode for what is not frozen."""
        super().train(mode)
        for number, block in enumerate(self.blocks):
            for module in block.modules():
                if isinstance(module, nn.BatchNorm2d) and (number < self.num_frozen or not self.train_batch_norm):
                    module.eval()
        return self


class MobileNetV3Small(ImageEncoder):
    """MobileNetV3-Small without its classifier: 0.93 M parameters, 0.06 GMAC at 224 pixels.

    Howard et al., "Searching for MobileNetV3", ICCV 2019. The features are the last convolution's, averaged
    over the picture: 576 numbers.

    Args:
        weights: ``default`` downloads torchvision's ImageNet weights once; a path reads a state dict of
            either the whole network or its `.features`; None starts from random weights.
        train_batch_norm: let the batch statistics follow the training pictures; otherwise they stay what the
            weights came with, which suits small data sets and small batches.

    Raises:
        ConfigError: the weights cannot be found, downloaded or do not fit.
    """

    num_features = 576

    def __init__(self, weights: str | None = "default", train_batch_norm: bool = True) -> None:
        super().__init__(train_batch_norm)
        network = mobilenet_v3_small(weights=None)
        if weights is not None:
            state = _download() if weights == "default" else _read(Path(weights).expanduser())
            try:
                network.features.load_state_dict(state)
            except RuntimeError as error:
                raise ConfigError(
                    f"The weights in {weights} are not MobileNetV3-Small's: {str(error).splitlines()[1].strip()}"
                ) from error
        self.features = network.features
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        if weights is None:
            # torchvision averages batch statistics over the last hundred steps or more, which suits trained weights.
            # From random ones they change faster than that: evaluation would see a network that no longer exists.
            for module in self.features.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = 0.1

    @property
    def blocks(self) -> list[nn.Module]:
        """13 blocks of convolutions, and the mean over the picture."""
        return [*self.features, self.pool]


def _download() -> dict[str, Tensor]:
    try:
        state = MobileNet_V3_Small_Weights.DEFAULT.get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError) as error:
        file = MobileNet_V3_Small_Weights.DEFAULT.url.rsplit("/", 1)[-1]
        raise ConfigError(
            f"Cannot download the ImageNet weights ({error}). On a machine with a network, run\n"
            "  python -c 'from torchvision.models import *; mobilenet_v3_small(weights=\"DEFAULT\")'\n"
            f"and copy ~/.cache/torch/hub/checkpoints/{file} to the same place here, or give its path with\n"
            "  model.image_encoder.weights=<path>\n"
            "or start from random weights with model.image_encoder.weights=null."
        ) from error
    return _features(dict(state))


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ConfigError(
            f"There are no weights at {path.absolute()}. model.image_encoder.weights takes `default`, a path or null."
        )
    log.info("Image weights: %s (sha256 %s…)", path, hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        raise ConfigError(f"{path} is not a file of PyTorch weights: {str(error).splitlines()[0]}") from error
    return _features(state)


def _features(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The part of a state dict that belongs to `.features`, whether or not it is the whole network's."""
    prefix = "features."
    inner = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return inner or state
