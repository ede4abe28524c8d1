"""Batches of images, on one process and on several."""

from __future__ import annotations

from itertools import chain

import pytest

from imtext.data.batch import BatchKey
from imtext.data.sampler import BatchSampler


def positions(sampler: BatchSampler) -> list[tuple[int, ...]]:
    keys = list(sampler)
    assert len(keys) == len(sampler)
    return [key.positions for key in keys]


def test_orders_differ_by_epoch_and_seed() -> None:
    def order(seed: int, epoch: int) -> list[BatchKey]:
        sampler = BatchSampler(40, 8, shuffle=True, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 3) == order(0, 3) == list(BatchSampler(40, 8, shuffle=True, epoch=3))
    assert len({tuple(key.positions for key in order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_small_last_batch() -> None:
    assert [len(batch) for batch in positions(BatchSampler(20, 8, shuffle=True))] == [8, 8]
    assert [len(batch) for batch in positions(BatchSampler(20, 8, shuffle=False))] == [8, 8, 4]
    assert [len(batch) for batch in positions(BatchSampler(5, 8, shuffle=True))] == [5]


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_the_batches_of_one_process(world_size: int) -> None:
    whole = positions(BatchSampler(100, 8, shuffle=True, seed=3, epoch=2))
    shares = [
        positions(BatchSampler(100, 8, shuffle=True, seed=3, epoch=2, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    assert {len(share) for share in shares} == {len(whole) // world_size}
    dealt = list(chain.from_iterable(zip(*shares, strict=True)))
    assert dealt == whole[: len(dealt)]  # so a global batch is made of consecutive batches


@pytest.mark.parametrize(("size", "world_size"), [(100, 2), (100, 3), (20, 4), (5, 3)])
def test_evaluation_sees_every_image_and_pads_by_repetition(size: int, world_size: int) -> None:
    shares = [
        positions(BatchSampler(size, 8, shuffle=False, rank=rank, world_size=world_size)) for rank in range(world_size)
    ]
    assert len({len(share) for share in shares}) == 1
    seen = list(chain.from_iterable(chain.from_iterable(shares)))
    assert set(seen) == set(range(size))
    assert all(batch for share in shares for batch in share)


def test_more_processes_than_training_batches() -> None:
    shares = [positions(BatchSampler(20, 8, shuffle=True, rank=rank, world_size=3)) for rank in range(3)]
    assert [len(share) for share in shares] == [1, 1, 1]
    assert shares[0] == shares[2] != shares[1]


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2), (0, 0)])
def test_impossible_ranks(rank: int, world_size: int) -> None:
    with pytest.raises(ValueError, match="rank="):
        BatchSampler(20, 8, shuffle=True, rank=rank, world_size=world_size)
