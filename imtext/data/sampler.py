"""The sampler that divides images into batches."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from imtext.data.batch import BatchKey
from imtext.data.order import Order, Positions


class BatchSampler(Sampler[BatchKey]):
    """Divides the images of a split into batches; when shuffling, in a new order each epoch.

    The order depends on the seed and the epoch alone, so a resumed run sees the batches that the interrupted run would
    have seen. When shuffling, the last, smaller batch is dropped (few negatives make its loss misleading), unless it is
    the only batch.

    With several processes, consecutive batches go to consecutive ranks: together they form a global batch of
    `world_size * batch_size` images. All ranks get the same number of batches. When shuffling, batches that do not fill
    a round are dropped; otherwise batches from the beginning are repeated, and metrics ignore images they have seen.

    Args:
        size: number of images in the split.
        batch_size: images per batch and process.
        shuffle: draw a new order each epoch.
        seed: seed of the run.
        epoch: the first epoch; Lightning announces later epochs through `set_epoch`.
        rank: number of this process.
        world_size: number of processes.
        order: arranges the images when shuffling; None draws them at random.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        epoch: int = 0,
        rank: int = 0,
        world_size: int = 1,
        order: Order | None = None,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank={rank} must be between 0 and world_size - 1 = {world_size - 1}")
        self.size, self.batch_size, self.shuffle, self.seed, self.epoch = size, batch_size, shuffle, seed, epoch
        self.rank, self.world_size, self.order = rank, world_size, order
        self.total = max(1, size // batch_size) if shuffle else math.ceil(size / batch_size)
        self.batches = max(1, self.total // world_size) if shuffle else math.ceil(self.total / world_size)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of batches of this process."""
        return self.batches

    def __iter__(self) -> Iterator[BatchKey]:
        order = self._arrange()
        for round_number in range(self.batches):
            batch = (round_number * self.world_size + self.rank) % self.total
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield BatchKey(self.epoch, tuple(int(position) for position in chosen))

    def _arrange(self) -> Positions:
        """All images in the order of this epoch."""
        if not self.shuffle:
            return np.arange(self.size)
        rng = np.random.default_rng([self.seed, self.epoch])
        if self.order is None:
            return rng.permutation(self.size)
        return self.order.arrange(self.size, min(self.size, self.batch_size * self.world_size), self.epoch, rng)
