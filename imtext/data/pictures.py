"""Decoded pictures as model input: augmented and normalised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from imtext.data.augment import Augment
from imtext.data.images import CachedImages
from imtext.preprocess import Pixels, Preprocess

# Pictures in a forward pass without gradients. More are slower on a CPU, whose caches they do not fit into.
PER_PASS = 16


class Pictures:
    """Source of pictures for batches; see `imtext.data.dataset.ImageSource`.

    Args:
        pixels: all pictures of the source, by row.
        preprocess: gives mean and standard deviation.
        augment: random changes to training pictures; None in evaluation.
    """

    first_block = 0

    def __init__(
        self, pixels: CachedImages | Mapping[int, Pixels], preprocess: Preprocess, augment: Augment | None = None
    ) -> None:
        self.pixels, self.preprocess, self.augment = pixels, preprocess, augment

    def batch(self, rows: Sequence[int], choices: Sequence[np.random.Generator], size: int | None = None) -> Tensor:
        """``[B, 3, H, W]`` float32, or with `size` ``[B, 3, size, size]``."""
        images = [torch.from_numpy(self.pixels[row]).permute(2, 0, 1) for row in rows]
        if self.augment is not None:
            images = [self.augment(image, choice, size) for image, choice in zip(images, choices, strict=True)]
        stacked = torch.stack(images)
        if size is not None and self.augment is None:
            stacked = resize(stacked, [size, size], antialias=True)
        return normalize(stacked, self.preprocess)


def normalize(images: Tensor, preprocess: Preprocess) -> Tensor:
    """``[B, 3, H, W]`` uint8 → float32, minus the mean, divided by the standard deviation."""
    mean = torch.tensor(preprocess.image_mean).view(3, 1, 1) * 255
    std = torch.tensor(preprocess.image_std).view(3, 1, 1) * 255
    return (images.float() - mean) / std
