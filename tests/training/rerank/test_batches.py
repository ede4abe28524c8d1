"""Batches: groups of neighbours, every picture once, and no hidden random state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from imtext.data.batch import BatchKey
from imtext.data.vocabulary import learn_vocabulary
from imtext.training.rerank.batches import NeighbourSampler, RerankDataset, loader
from imtext.training.rerank.neighbours import NONE

ROWS = [10, 20, 30, 40]
CAPTIONS = ["one", "two two", "three", "one", "five five five", "six"]
OWN = torch.tensor([0, 0, 1, 2, 2, 3])
SAME = [frozenset({0, 2}), frozenset({0}), frozenset({1}), frozenset({0, 2}), frozenset({2}), frozenset({3})]


class Rows:
    """Stands for cached features: the token of a picture is its row, and its view."""

    first_block = 3

    def batch(self, rows: Sequence[int], choices: Sequence[np.random.Generator], size: int | None = None) -> Tensor:
        return torch.tensor([[[row, int(choice.integers(1000))]] for row, choice in zip(rows, choices, strict=True)])


def dataset(captions_per_picture: int | None = None, seed: int = 0) -> RerankDataset:
    tokenizer = learn_vocabulary(CAPTIONS, 100, 16, 1)
    return RerankDataset(Rows(), 0, ROWS, CAPTIONS, OWN, SAME, tokenizer, captions_per_picture, seed)


def test_pictures_with_their_captions() -> None:
    batch = dataset()[BatchKey(0, (2, 3, 0))]
    assert batch["tokens"][:, 0, 0].tolist() == [30, 40, 10]
    assert batch["own"].tolist() == [0, 0, 1, 2, 2]
    # Captions "one" of pictures 2 and 0 describe each other's picture, too.
    assert batch["also"].tolist() == [
        [False, False, True], [False] * 3, [False] * 3, [True, False, False], [False] * 3
    ]  # fmt: skip
    lengths = batch["attention_mask"].sum(dim=1)
    assert (lengths - lengths[0]).tolist() == [0, 2, 0, 0, 1]


def test_captions_are_drawn_again_each_epoch() -> None:
    data, lengths = dataset(captions_per_picture=1), set()
    for epoch in range(20):
        batch = data[BatchKey(epoch, (0, 1))]
        assert batch["own"].tolist() == [0, 1]
        lengths.add(int(batch["attention_mask"][0].sum()))
    assert len(lengths) == 2


def test_a_batch_depends_on_seed_epoch_and_pictures_alone() -> None:
    key = BatchKey(3, (2, 0))
    first, again = dataset()[key], dataset()[key]
    assert all(first[name].equal(again[name]) for name in first)  # type: ignore[literal-required]
    assert not dataset()[BatchKey(4, (2, 0))]["tokens"].equal(first["tokens"])  # other views
    assert not dataset(seed=1)[key]["tokens"].equal(first["tokens"])


def pairs(size: int) -> Tensor:
    """Neighbours 0 and 1, 2 and 3, …"""
    return torch.tensor([[picture ^ 1, NONE] for picture in range(size)])


def test_groups_stay_together_and_every_picture_comes_once() -> None:
    sampler = NeighbourSampler(pairs(12), batch_size=4, group=2)
    for epoch in range(5):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler) == 3
        assert all(batch.epoch == epoch for batch in batches)
        assert sorted(each for batch in batches for each in batch.positions) == list(range(12))
        assert all({each ^ 1 for each in batch.positions} == set(batch.positions) for batch in batches)


def test_groups_of_one_are_random_pictures() -> None:
    together = sum(
        {each ^ 1 for each in batch.positions} == set(batch.positions)
        for epoch in range(20)
        for batch in NeighbourSampler(pairs(12), batch_size=2, group=1, epoch=epoch)
    )
    assert together < 40  # of 120


def test_a_small_data_set_is_one_batch() -> None:
    (batch,) = NeighbourSampler(pairs(4), batch_size=32, group=8)
    assert sorted(batch.positions) == [0, 1, 2, 3]


def test_a_loader_begins_at_any_epoch() -> None:
    def rows(epoch: int) -> list[list[int]]:
        sampler = NeighbourSampler(pairs(4), batch_size=2, group=1, epoch=epoch)
        return [batch["tokens"][:, 0, 0].tolist() for batch in loader(dataset(), sampler, 0)]

    straight = NeighbourSampler(pairs(4), batch_size=2, group=1)
    batches = loader(dataset(), straight, 0)
    list(batches)
    straight.set_epoch(1)
    assert [batch["tokens"][:, 0, 0].tolist() for batch in batches] == rows(1)
    assert any(rows(epoch) != rows(0) for epoch in range(1, 5))
