"""Random changes to training pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from imtext.errors import ConfigError


class Augment:
    """Random crop, horizontal flip and colour changes.

    Args:
        crop_scale: share of the area (low, high) of a random crop, which is scaled up to the size of the picture;
            (1, 1) keeps the picture.
        flip: mirror half of the pictures, at random. Switch it off if captions say left and right.
        color: strength of random brightness, contrast and saturation changes, 0 … 1.
    """

    def __init__(self, crop_scale: Sequence[float] = (0.6, 1.0), flip: bool = True, color: float = 0.0) -> None:
        low, high = crop_scale
        if not 0 < low <= high <= 1:
            raise ConfigError(f"data.augment.crop_scale takes two shares, 0 < low ≤ high ≤ 1, not {list(crop_scale)}")
        self.crop_scale, self.flip, self.color = (float(low), float(high)), flip, float(color)
        self._transforms: dict[tuple[tuple[int, int], tuple[int, int]], v2.Compose | None] = {}  # by height and width

    def __repr__(self) -> str:
        """All settings; part of the key of cached features."""
        return f"Augment(crop_scale={self.crop_scale}, flip={self.flip}, color={self.color})"

    def __call__(self, image: Tensor, rng: np.random.Generator, size: int | None = None) -> Tensor:
        """Change a picture at random.

        Args:
            image: ``[3, H, W]`` uint8.
            rng: random choices are drawn from it; they do not depend on `size`.
            size: side of the result in pixels. The crop is resampled to it directly. None keeps the size.

        Returns:
            ``[3, H, W]`` or ``[3, size, size]`` uint8.
        """
        before = (image.shape[-2], image.shape[-1])
        after = before if size is None else (size, size)
        if (before, after) not in self._transforms:
            self._transforms[before, after] = self._build(before, after)
        transform = self._transforms[before, after]
        if transform is None:
            return image
        # torchvision draws from torch's global generator, so its state is replaced here and restored afterwards.
        # Only the CPU's generator is touched; dropout on an accelerator keeps its own.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(rng.integers(2**63)))
            changed: Tensor = transform(image)
        return changed

    def _build(self, before: tuple[int, int], after: tuple[int, int]) -> v2.Compose | None:
        steps: list[torch.nn.Module] = []
        if self.crop_scale[0] < 1:
            steps.append(v2.RandomResizedCrop(after, scale=self.crop_scale, ratio=(3 / 4, 4 / 3), antialias=True))
        elif after != before:
            steps.append(v2.Resize(after, antialias=True))
        if self.flip:
            steps.append(v2.RandomHorizontalFlip())
        if self.color > 0:
            steps.append(v2.ColorJitter(self.color, self.color, self.color))
        return v2.Compose(steps) if steps else None
