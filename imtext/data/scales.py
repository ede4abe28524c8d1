"""Training at several sizes of pictures: each batch has one size, and evaluation has the full one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np

from imtext.data.batch import BatchKey
from imtext.errors import ConfigError

SMALLEST = 32  # pixels; image towers halve a picture 5 times


class Scales(ABC):
    """Chooses the size of the pictures of each training batch, from its key and the seed alone.

    Args:
        sizes: sides of a picture in pixels, in ascending order, each at most `data.image_size`.

    Raises:
        ConfigError: no sizes, sizes below 32, or not in ascending order.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = tuple(int(size) for size in sizes)
        if not self.sizes or self.sizes[0] < SMALLEST or list(self.sizes) != sorted(set(self.sizes)):
            raise ConfigError(
                f"data.scales.sizes takes sides of pictures in ascending order, from {SMALLEST} pixels up, not "
                f"{list(sizes)}"
            )

    @abstractmethod
    def size(self, key: BatchKey, seed: int) -> int:
        """Side of the pictures of a batch in pixels."""

    @abstractmethod
    def sizes_in(self, epochs: Iterable[int]) -> set[int]:
        """The sizes that batches of these epochs, counted from 0, may have."""

    def check(self, image_size: int) -> None:
        """Refuse sizes above the one at which pictures are kept.

        Raises:
            ConfigError: a size is above `image_size`.
        """
        if self.sizes[-1] > image_size:
            raise ConfigError(
                f"data.scales.sizes={list(self.sizes)}: pictures are decoded at data.image_size={image_size}, and "
                f"larger ones would show nothing more. Choose sizes up to {image_size}, or a larger data.image_size"
            )


class RandomScales(Scales):
    """Every batch draws one of the sizes.

    Multi-scale training makes a model less sensitive to the size of things in a picture, and epochs cheaper. YOLO9000
    (Redmon & Farhadi, CVPR 2017) draws a size for every ten batches, MobileViT (Mehta & Rastegari, ICLR 2022) for every
    batch.
    """

    def size(self, key: BatchKey, seed: int) -> int:
        """Drawn with equal chances."""
        # The number of pictures keeps these draws apart from those of a picture, which have three numbers.
        rng = np.random.default_rng([seed, key.epoch, len(key.positions), *key.positions])
        return self.sizes[int(rng.integers(len(self.sizes)))]

    def sizes_in(self, epochs: Iterable[int]) -> set[int]:
        """All sizes."""
        return set(self.sizes)


class ProgressiveScales(Scales):
    """Sizes grow from epoch to epoch: small pictures teach the basics at little cost, the last epochs are at full size.

    Tan & Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021, without their growing regularisation.

    Args:
        sizes: sides of a picture in pixels, in ascending order, each at most `data.image_size`; each takes an equal
            share of the epochs.
        epochs: number of epochs over which they are spread; later epochs have the last size.

    Raises:
        ConfigError: see `Scales`, or `epochs` is below 1.
    """

    def __init__(self, sizes: Sequence[int], epochs: int) -> None:
        super().__init__(sizes)
        if epochs < 1:
            raise ConfigError(f"data.scales.epochs must be at least 1, not {epochs}")
        self.epochs = epochs

    def size(self, key: BatchKey, seed: int) -> int:
        """That of the epoch."""
        return self._size_at(key.epoch)

    def sizes_in(self, epochs: Iterable[int]) -> set[int]:
        """Those of the epochs."""
        return {self._size_at(epoch) for epoch in epochs}

    def _size_at(self, epoch: int) -> int:
        # Counted from the end, so that the last epoch has the last size, even if there are fewer epochs than sizes.
        left = max(self.epochs - 1 - epoch, 0)
        return self.sizes[-1 - left * len(self.sizes) // self.epochs]
