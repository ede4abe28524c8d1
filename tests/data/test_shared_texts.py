"""Captions of equal text on different pictures."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from imtext.data.batch import BatchKey
from imtext.data.dataset import RetrievalDataset
from imtext.data.shared_texts import SharedTexts, find_shared_texts
from tests.data.shared import Characters, shapes

CAPTIONS = [
    ["A dog.", "two dogs"],
    ["a cat", "a  DOG"],
    ["a horse"],
    ["a horse", "a cat", "a dog", "A dog!"],
    ["mice", "mice."],
]


def test_equal_after_cleaning() -> None:
    shared = find_shared_texts(CAPTIONS, range(5))
    assert (shared.num_texts, shared.num_captions, shared.most) == (3, 8, 3)
    assert shared.ids[0][1] == -1
    assert shared.ids[0][0] == shared.ids[1][1] == shared.ids[3][2] == shared.ids[3][3]
    assert len({shared.ids[3][0], shared.ids[3][1], shared.ids[3][2]}) == 3
    assert 4 not in shared.ids  # one picture alone


def test_only_rows_in_use_count() -> None:
    shared = find_shared_texts(CAPTIONS, [0, 2, 3])
    assert sorted(shared.ids) == [0, 2, 3]
    assert shared.num_texts == 2
    assert find_shared_texts(CAPTIONS, [0, 2, 4]) == SharedTexts()


def test_punctuation_alone_is_a_text_of_its_own() -> None:
    assert not find_shared_texts([["?"], ["!"]], range(2)).ids
    assert find_shared_texts([["?"], ["?"]], range(2)).num_captions == 2


def test_tensors_are_padded_with_numbers_that_never_match() -> None:
    shared = find_shared_texts(CAPTIONS, range(5))
    assert shared.of_captions([(0, 1), (4, 0)]).tolist() == [-1, -1]
    of_images = shared.of_images([4, 2, 3])
    assert of_images.shape == (3, 3)
    assert of_images[0].tolist() == [-2, -2, -2]
    assert of_images[1, 1:].tolist() == [-2, -2]
    assert of_images[1, 0] in of_images[2]
    assert SharedTexts().of_images([0, 1]).shape == (2, 0)


def test_a_batch_knows_the_texts_of_captions_that_were_not_drawn(tmp_path: Path) -> None:
    data = shapes(tmp_path)
    shared = find_shared_texts(CAPTIONS, range(4))
    dataset = RetrievalDataset(
        [(0, data.pictures())], CAPTIONS, range(4), Characters(), shared=shared, captions_per_image=1
    )
    batch = dataset[BatchKey(0, (0, 3))]
    assert batch["caption_text_id"].shape == (2,)
    assert batch["image_text_ids"].equal(shared.of_images([0, 3]))
    assert batch["image_text_ids"].ge(0).sum() == 4


def test_the_data_counts_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        data = shapes(tmp_path)
    assert "shared" not in caplog.text
    batch = next(iter(data.train_dataloader()))
    assert batch["image_text_ids"].shape == (8, 0)
    assert batch["caption_text_id"].eq(-1).all()
    assert str(find_shared_texts(CAPTIONS, range(5))) == "; 8 captions of 3 texts are shared by several images"
