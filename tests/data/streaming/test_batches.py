from __future__ import annotations

import numpy as np
import torch

from imtext.data.augment import Augment
from imtext.data.scales import RandomScales
from imtext.data.streaming.batches import BatchMaker, text_ids
from imtext.data.streaming.samples import MOST_CAPTIONS, PER_SHARD, Decoded
from imtext.preprocess import Preprocess
from imtext.training.targets import targets_of
from tests.data.shared import Characters


def decoded(number: int, *captions: str) -> Decoded:
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
    return Decoded(number, pixels, list(captions))


def maker(**settings: object) -> BatchMaker:
    return BatchMaker(Preprocess(image_size=32), Characters(), **settings)  # type: ignore[arg-type]


def test_a_batch_has_the_contract_of_finite_data() -> None:
    first, second = decoded(PER_SHARD + 3, "ab", "c"), decoded(7, "d")
    batch = maker()([first, second], 0)
    assert batch["image"].shape == (2, 3, 32, 32)
    assert batch["image"].dtype == torch.float32
    assert batch["image_id"].tolist() == [PER_SHARD + 3, 7]
    assert batch["caption_image_id"].tolist() == [PER_SHARD + 3, PER_SHARD + 3, 7]
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (3, 2)
    assert targets_of(batch).positive.tolist() == [[True, True, False], [False, False, True]]


def test_equal_texts_are_positives_even_if_they_are_not_drawn() -> None:
    one, other = decoded(1, "A dog."), decoded(2, "a  dog", "x", "y", "z")
    for epoch in range(5):
        batch = maker(captions_per_image=1)([one, other], epoch)
        assert len(batch["input_ids"]) == 2
        assert targets_of(batch).positive[1, 0], "the caption of the first describes the second, too"


def test_text_ids_are_the_same_everywhere_and_have_one_width() -> None:
    ids = text_ids({1: ["a", "b"], 2: ["B"]})
    assert text_ids({9: ["b"]}).of_captions([(9, 0)]).tolist() == [ids.ids[2][0]] == [ids.ids[1][1]]
    assert ids.of_images([1]).shape == (1, MOST_CAPTIONS)
    assert min(ids.ids[1]) >= 0


def test_augmentation_depends_on_seed_epoch_and_sample_only() -> None:
    samples = [decoded(number, "a") for number in range(4)]
    make = maker(augment=Augment(), seed=3)
    alone, together = make(samples[2:3], 1), make(samples, 1)
    assert alone["image"][0].equal(together["image"][2])
    assert not alone["image"].equal(make(samples[2:3], 2)["image"])
    assert not alone["image"].equal(maker(augment=Augment(), seed=4)(samples[2:3], 1)["image"])


def test_sizes_differ_between_batches() -> None:
    make = BatchMaker(Preprocess(image_size=64), Characters(), scales=RandomScales([32, 48, 64]))
    sizes = {make([decoded(number, "a")], 0)["image"].shape[-1] for number in range(20)}
    assert sizes == {32, 48, 64}


def test_a_sample_that_comes_twice_is_one_image() -> None:
    batch = maker()([decoded(1, "a"), decoded(2, "b"), decoded(1, "a")], 0)
    assert batch["image_id"].tolist() == [1, 2]
