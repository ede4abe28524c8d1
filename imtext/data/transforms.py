"""Random changes to training pictures, on uint8 tensors; and normalisation, on whole batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from imtext.errors import ConfigError
from imtext.preprocess import Preprocess


class Augment:
    """Random crop, mirror and colour changes.

    Args:
        image_size: side of the result, in pixels.
        crop_scale: a random part of the picture with this share of its area (low, high) is scaled up to
            the whole; (1, 1) keeps the picture.
        flip: mirror left and right half of the time. Switch it off when captions say left and right.
        color: strength of random brightness, contrast and saturation changes, 0 … 1.
    """

    def __init__(
        self, image_size: int, crop_scale: Sequence[float] = (0.6, 1.0), flip: bool = True, color: float = 0.0
    ) -> None:
        low, high = crop_scale
        if not 0 < low <= high <= 1:
            raise ConfigError(f"data.augment.crop_scale takes two shares, 0 < low ≤ high ≤ 1, not {list(crop_scale)}")
        self.settings = (image_size, float(low), float(high), flip, float(color))
        steps: list[torch.nn.Module] = []
        if low < 1:
            steps.append(v2.RandomResizedCrop(image_size, scale=(low, high), ratio=(3 / 4, 4 / 3), antialias=True))
        if flip:
            steps.append(v2.RandomHorizontalFlip())
        if color > 0:
            steps.append(v2.ColorJitter(color, color, color))
        self.transform = v2.Compose(steps) if steps else None

    def __repr__(self) -> str:
        """All that the result depends on beside the picture and the random state; part of the names of caches."""
        return f"Augment{self.settings}"

    def __call__(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """``[3, H, W]`` uint8 → ``[3, image_size, image_size]`` uint8, random choices taken from `rng`."""
        if self.transform is None:
            return image
        # torchvision draws from torch's global generator: lend it a state of our own for the time being. Only
        # the CPU's is touched, so that dropout on an accelerator is left alone.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(rng.integers(2**63)))
            changed: Tensor = self.transform(image)
        return changed


def normalize(images: Tensor, preprocess: Preprocess) -> Tensor:
    """``[B, 3, H, W]`` uint8 → float32 with the mean and standard deviation taken out."""
    mean = torch.tensor(preprocess.image_mean).view(3, 1, 1) * 255
    std = torch.tensor(preprocess.image_std).view(3, 1, 1) * 255
    return (images.float() - mean) / std
