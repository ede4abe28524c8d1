"""Batches of a split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from imtext.data.augment import Augment
from imtext.data.batch import Batch, BatchKey
from imtext.data.dataset import RetrievalDataset
from tests.data.shared import Characters, shapes


class Numbers:
    """Text features that name their caption."""

    def batch(self, captions: Sequence[tuple[int, int]]) -> Tensor:
        return torch.tensor(captions, dtype=torch.float32)


def equal(one: Batch, other: Batch) -> bool:
    assert one.keys() == other.keys()
    return all(
        torch.equal(torch.as_tensor(first), torch.as_tensor(second))
        for first, second in zip(one.values(), other.values(), strict=True)
        if isinstance(first, Tensor | int) and isinstance(second, Tensor | int)
    )


def test_distinct_images_with_their_captions(tmp_path: Path) -> None:
    data = shapes(tmp_path, captions_per_image=3)
    for batch in data.train_dataloader():
        assert batch["image"].shape == (8, 3, 32, 32)
        assert batch["image"].dtype == torch.float32
        assert len(set(batch["image_id"].tolist())) == 8
        assert batch["caption_image_id"].tolist() == batch["image_id"].repeat_interleave(3).tolist()
        assert batch["input_ids"].shape == batch["attention_mask"].shape == (24, batch["input_ids"].shape[1])
        assert (batch["input_ids"].dtype, batch["attention_mask"].dtype) == (torch.int64, torch.bool)


def test_an_epoch_sees_every_image_once(tmp_path: Path) -> None:
    data = shapes(tmp_path)
    seen = [row for batch in data.train_dataloader() for row in batch["image_id"].tolist()]
    assert sorted(seen) == sorted(data.rows["train"])


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_workers_change_nothing(tmp_path: Path, workers: int) -> None:
    augment = Augment(crop_scale=(0.5, 1), flip=True, color=0.4)
    reference = list(shapes(tmp_path, augment=augment, captions_per_image=2).train_dataloader())
    data = shapes(tmp_path, augment=augment, captions_per_image=2, num_workers=workers)
    assert all(equal(*pair) for pair in zip(data.train_dataloader(), reference, strict=True))


def test_augmentation_differs_by_epoch(tmp_path: Path) -> None:
    dataset = shapes(tmp_path, augment=Augment()).train_dataloader().dataset
    first, again, later = (dataset[BatchKey(epoch, (0, 1))]["image"] for epoch in (0, 0, 1))
    assert first.equal(again)
    assert not first.equal(later)


def test_captions_are_drawn_again_each_epoch(tmp_path: Path) -> None:
    dataset = shapes(tmp_path, captions_per_image=2, shuffle=False).train_dataloader().dataset
    drawn = {str(dataset[BatchKey(epoch, (0, 1, 2))]["input_ids"].tolist()) for epoch in (0, 1, 2, 0)}
    assert len(drawn) == 3


def test_text_features_are_those_of_the_batch_captions(tmp_path: Path) -> None:
    data = shapes(tmp_path, captions_per_image=2)
    without = data.train_dataloader().dataset[BatchKey(1, (0, 3, 5))]
    assert "text_features" not in without
    data.text_features = {1: Numbers(), 3: None}
    dataset = data.train_dataloader().dataset
    batch = dataset[BatchKey(1, (0, 3, 5))]
    pairs = batch["text_features"].long().tolist()
    assert [row for row, _ in pairs] == batch["caption_image_id"].tolist()
    ids, _ = data.tokenizer([data.captions[row][number] for row, number in pairs])
    assert torch.from_numpy(ids).equal(batch["input_ids"])
    features = batch.pop("text_features")
    assert len(features) == 6
    assert equal(batch, without)  # random choices are the same
    assert ["text_features" in dataset[BatchKey(epoch, (0,))] for epoch in range(4)] == [False, True, True, False]
    assert all("text_features" not in batch for batch in data.val_dataloader())


def test_another_tokenizer(tmp_path: Path) -> None:
    data = shapes(tmp_path)
    dataset = RetrievalDataset([(0, data.pictures())], [["ab", "z!"]], [0], Characters())
    batch = dataset[BatchKey(0, (0,))]
    assert batch["input_ids"].tolist() == [[0, 1], [25, 26]]
