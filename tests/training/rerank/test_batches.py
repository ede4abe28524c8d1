"""Batches: the own picture first, wrong ones of its candidates, every picture once, and no hidden random state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from imtext.data.batch import BatchKey
from imtext.data.vocabulary import learn_vocabulary
from imtext.training.rerank.batches import RerankDataset, loader
from imtext.training.rerank.candidates import NONE

ROWS = [10, 20, 30, 40, 50]
CAPTIONS = ["one", "two two", "three", "four", "five five five", "six"]
OWN = torch.tensor([0, 0, 1, 2, 3, 4])
CANDIDATES = torch.tensor([[1, 2, 3, 4], [4, 3, NONE, NONE], [0, 2, 3, 4], [NONE] * 4, [0, 1, 2, NONE], [3, 2, 1, 0]])


class Rows:
    """Stands for cached features and the image tower: the token of a picture is its row, and its view."""

    first_block = 3

    def batch(self, rows: Sequence[int], choices: Sequence[np.random.Generator]) -> Tensor:
        return torch.tensor([[row, int(choice.integers(1000))] for row, choice in zip(rows, choices, strict=True)])

    def tokens(self, features: Tensor, first_block: int) -> Tensor:
        assert first_block == 3
        return features[:, None]


def dataset(num_negatives: int = 2, seed: int = 0) -> RerankDataset:
    tokenizer, source = learn_vocabulary(CAPTIONS, 100, 16, 1), Rows()
    return RerankDataset(
        source,
        source,
        ROWS,
        CAPTIONS,
        OWN,
        CANDIDATES,
        tokenizer,
        num_negatives,
        seed,  # type: ignore[arg-type]
    )


def lists(data: RerankDataset, key: BatchKey) -> list[list[int | None]]:
    """The rows of the pictures of each caption, None where there is no picture."""
    batch = data[key]
    rows = batch["tokens"][:, 0, 0]
    return [
        [int(rows[picture]) if real else None for picture, real in zip(pictures, reals, strict=True)]
        for pictures, reals in zip(batch["picture"].tolist(), batch["real"].tolist(), strict=True)
    ]


def test_the_own_picture_comes_first_and_wrong_ones_are_drawn_from_the_candidates() -> None:
    data = dataset()
    assert len(data) == 5  # the caption without a wrong picture is left out
    seen: set[int | None] = set()
    for epoch in range(20):
        found = lists(data, BatchKey(epoch, (0, 1, 3)))  # captions 0, 1 and 4
        assert [each[0] for each in found] == [10, 10, 40]
        assert set(found[1][1:]) == {50, 40}
        assert len(set(found[0])) == 3
        seen |= set(found[0][1:])
    assert seen == {20, 30, 40, 50}


def test_a_caption_with_few_wrong_pictures_has_a_shorter_list() -> None:
    found = lists(dataset(num_negatives=4), BatchKey(0, (1, 4)))
    assert found[0][3:] == [None, None]
    assert set(found[0][1:3]) == {50, 40}
    assert set(found[1]) == {50, 40, 30, 20, 10}


def test_each_picture_is_read_once() -> None:
    batch = dataset(num_negatives=4)[BatchKey(0, (0, 1, 2, 3, 4))]
    rows = batch["tokens"][:, 0, 0].tolist()
    assert rows == sorted(set(rows))
    assert batch["attention_mask"].sum(dim=1).tolist() == [3, 4, 3, 5, 3]  # with the tokens of beginning and end


def test_a_batch_depends_on_seed_epoch_and_captions_alone() -> None:
    key = BatchKey(3, (2, 0))
    first, again = dataset()[key], dataset()[key]
    assert all(first[name].equal(again[name]) for name in first)  # type: ignore[literal-required]
    assert any(lists(dataset(), BatchKey(epoch, (2, 0))) != lists(dataset(), key) for epoch in range(3))
    assert not dataset()[BatchKey(4, (2, 0))]["tokens"].equal(first["tokens"])  # other views


def test_a_loader_begins_at_any_epoch() -> None:
    def texts(epoch: int) -> list[list[int]]:
        return [batch["input_ids"].flatten().tolist() for batch in loader(dataset(), 2, epoch, 0)]

    straight = loader(dataset(), 2, 0, 0)
    list(straight)
    straight.sampler.set_epoch(1)  # type: ignore[attr-defined]
    assert [batch["input_ids"].flatten().tolist() for batch in straight] == texts(1)
    assert len(texts(0)) == 2  # the last, smaller batch is left out
    assert any(texts(epoch) != texts(0) for epoch in range(1, 5))
