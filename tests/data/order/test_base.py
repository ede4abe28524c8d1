"""The contract of an order, with one that is not imtext's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imtext.data.order import Order, Positions
from imtext.data.sampler import BatchSampler
from tests.data.shared import shapes


class Backwards(Order):
    """The last picture first; the epoch moves the beginning."""

    def arrange(self, size: int, batch_size: int, epoch: int, rng: np.random.Generator) -> Positions:
        return np.roll(np.arange(size)[::-1], epoch)


def test_the_sampler_cuts_the_order_into_batches() -> None:
    sampler = BatchSampler(10, 4, shuffle=True, order=Backwards())
    assert [key.positions for key in sampler] == [(9, 8, 7, 6), (5, 4, 3, 2)]
    sampler.set_epoch(1)
    assert [key.positions for key in sampler] == [(0, 9, 8, 7), (6, 5, 4, 3)]


def test_training_uses_the_order_and_evaluation_does_not(tmp_path: Path) -> None:
    data = shapes(tmp_path, order=Backwards())
    (first, *_), rows = data.train_dataloader(), data.rows["train"]
    assert first["image_id"].tolist() == rows[:-9:-1]
    assert next(iter(data.val_dataloader()))["image_id"].tolist() == data.rows["val"]
