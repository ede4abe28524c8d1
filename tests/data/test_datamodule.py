"""Splits, vocabulary, batches and the picture cache."""

from __future__ import annotations

import multiprocessing
import pickle
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from imtext.data.cache import CachedImages, cached_images
from imtext.data.tokenizer import UNK
from imtext.data.transforms import Augment
from torch.utils.data import DataLoader

from imtext.data import CaptionTokenizer, Flickr8k, Shapes
from imtext.data.captions import split_by_ratios
from imtext.data.dataset import Batch, BatchKey, BatchSampler, RetrievalDataset
from imtext.errors import ConfigError, DataError
from imtext.preprocess import Preprocess


def whole(images: CachedImages) -> np.ndarray[Any, np.dtype[Any]]:
    return np.stack([images[row] for row in range(len(images))])


def shapes(tmp_path: Path, **options: Any) -> Shapes:
    data = Shapes(40, **{"image_size": 32, "batch_size": 8, "cache_dir": str(tmp_path), "seed": 5, **options})
    data.setup()
    return data


class TestSplits:
    @pytest.mark.parametrize("count", [8_000, 8_091, 6_996, 10])
    def test_every_image_is_in_one_split(self, count: int) -> None:
        parts = split_by_ratios(count, [0.6, 0.2, 0.2], seed=42)
        assert sorted(chain.from_iterable(parts.values())) == list(range(count))
        assert parts == split_by_ratios(count, [0.6, 0.2, 0.2], seed=42) != split_by_ratios(count, [0.6, 0.2, 0.2], 43)

    def test_flickr8k_sizes(self) -> None:
        parts = split_by_ratios(8_000, [0.6, 0.2, 0.2], seed=42)
        assert {split: len(rows) for split, rows in parts.items()} == {"train": 4_800, "val": 1_600, "test": 1_600}

    def test_the_training_seed_does_not_move_images(self, tmp_path: Path) -> None:
        assert shapes(tmp_path, seed=1).rows == shapes(tmp_path, seed=2).rows

    def test_bad_ratios(self) -> None:
        with pytest.raises(ConfigError, match="add up to 1"):
            Shapes(40, ratios=[0.6, 0.6, 0.2])
        with pytest.raises(DataError, match="too few"):
            split_by_ratios(3, [0.6, 0.2, 0.2], 0)


class TestVocabulary:
    def test_only_training_words(self, tmp_path: Path) -> None:
        data = shapes(tmp_path)
        train_words = " ".join(text.lower() for row in data.rows["train"] for text in data.captions[row]).split()
        vocabulary = set(data.tokenizer.tokenizer.get_vocab())
        assert vocabulary <= {*train_words, "[PAD]", "[UNK]", "[BOS]", "[EOS]"}

    def test_unknown_words_and_size(self) -> None:
        tokenizer = CaptionTokenizer.train(["a dog", "a dog runs", "A cat"], vocab_size=6)
        assert tokenizer.vocab_size == 6  # four special ones, and the two most frequent: a, dog
        ids, mask = tokenizer(["A DOG, jumps", ""])
        tokens = [tokenizer.tokenizer.id_to_token(i) for i in ids[0].tolist()]
        assert tokens == ["[BOS]", "a", "dog", UNK, UNK, "[EOS]"]
        assert mask.sum(1).tolist() == [6, 2]

    def test_long_captions_are_cut_and_keep_their_end(self) -> None:
        tokenizer = CaptionTokenizer.train(["one two three four five six"], max_text_length=4)
        ids, _ = tokenizer(["one two three four five six"])
        assert [tokenizer.tokenizer.id_to_token(i) for i in ids[0].tolist()] == ["[BOS]", "one", "two", "[EOS]"]

    def test_travels_as_text(self) -> None:
        tokenizer = CaptionTokenizer.train(["a dog", "a cat"], max_text_length=5)
        again = CaptionTokenizer.from_json(tokenizer.to_json())
        for ours, theirs in zip(tokenizer(["a dog a dog a dog"]), again(["a dog a dog a dog"]), strict=True):
            assert ours.equal(theirs)

    @pytest.mark.parametrize("options", [{"vocab_size": 4}, {"max_text_length": 2}])
    def test_bad_values(self, options: dict[str, int]) -> None:
        with pytest.raises(ConfigError, match=next(iter(options))):
            CaptionTokenizer.train(["a dog"], **options)


class TestBatches:
    def test_distinct_images_with_their_captions(self, tmp_path: Path) -> None:
        data = shapes(tmp_path, captions_per_image=3)
        for batch in data.train_dataloader():
            assert batch["image"].shape == (8, 3, 32, 32)
            assert batch["image"].dtype == torch.float32
            assert len(set(batch["image_id"].tolist())) == 8
            assert batch["caption_image_id"].tolist() == batch["image_id"].repeat_interleave(3).tolist()
            assert batch["input_ids"].shape == batch["attention_mask"].shape == (24, batch["input_ids"].shape[1])

    def test_an_epoch_sees_every_image_once(self, tmp_path: Path) -> None:
        data = shapes(tmp_path)
        seen = [row for batch in data.train_dataloader() for row in batch["image_id"].tolist()]
        assert sorted(seen) == sorted(data.rows["train"])

    def test_orders_differ_by_epoch_and_seed(self) -> None:
        def order(seed: int, epoch: int) -> list[BatchKey]:
            sampler = BatchSampler(40, 8, shuffle=True, seed=seed)
            sampler.set_epoch(epoch)
            return list(sampler)

        assert order(0, 3) == order(0, 3)
        assert len({tuple(key.positions for key in order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4

    def test_small_last_batch(self) -> None:
        assert [len(key.positions) for key in BatchSampler(20, 8, shuffle=True)] == [8, 8]
        assert [len(key.positions) for key in BatchSampler(20, 8, shuffle=False)] == [8, 8, 4]
        assert [len(key.positions) for key in BatchSampler(5, 8, shuffle=True)] == [5]

    @pytest.mark.parametrize("workers", [0, 2])
    def test_workers_change_nothing(self, tmp_path: Path, workers: int) -> None:
        augment = Augment(32, crop_scale=(0.5, 1), flip=True, color=0.4)
        reference = list(shapes(tmp_path, augment=augment, captions_per_image=2).train_dataloader())
        data = shapes(tmp_path, augment=augment, captions_per_image=2, num_workers=workers)
        for ours, theirs in zip(data.train_dataloader(), reference, strict=True):
            for name in Batch.__annotations__:
                assert torch.equal(torch.as_tensor(ours[name]), torch.as_tensor(theirs[name])), name

    def test_augmentation_differs_by_epoch_and_leaves_the_generator_alone(self, tmp_path: Path) -> None:
        data = shapes(tmp_path, augment=Augment(32))
        loader = data.train_dataloader()
        dataset = loader.dataset
        assert isinstance(dataset, RetrievalDataset)
        torch.manual_seed(0)
        expected = torch.rand(1)
        torch.manual_seed(0)
        first, again, later = (dataset[BatchKey(epoch, (0, 1))]["image"] for epoch in (0, 0, 1))
        assert torch.rand(1).equal(expected)
        assert first.equal(again)
        assert not first.equal(later)

    def test_evaluation_is_not_augmented(self, tmp_path: Path) -> None:
        data = shapes(tmp_path, augment=Augment(32))
        batch = next(iter(data.val_dataloader()))
        row = int(batch["image_id"][0])
        mean, std = np.array(data.preprocess.image_mean), np.array(data.preprocess.image_std)
        expected = (data.pixels[row] / 255 - mean) / std
        np.testing.assert_allclose(batch["image"][0].permute(1, 2, 0).numpy(), expected, atol=1e-5)

    def test_batch_of_one_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="no negatives"):
            Shapes(40, batch_size=1)

    def test_loader_type(self, tmp_path: Path) -> None:
        assert isinstance(shapes(tmp_path).val_dataloader(), DataLoader)


class TestCache:
    PREPROCESS = Preprocess(32)

    def test_pictures_are_decoded_once(self, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = Flickr8k(str(pictures), image_size=32, cache_dir=str(tmp_path))
        first.setup()
        monkeypatch.setattr("imtext.data.cache._decode", lambda *_: pytest.fail("decoded again"))
        again = Flickr8k(str(pictures), image_size=32, cache_dir=str(tmp_path))
        again.setup()
        assert (whole(first.pixels) == whole(again.pixels)).all()

    def test_killed_writer_leaves_nothing_to_trust(self, tmp_path: Path) -> None:
        source = Shapes(12).load_source()
        finished = cached_images(source, self.PREPROCESS, tmp_path)
        expected = whole(finished)
        finished.path.rename(finished.path.with_suffix(".partial"))  # what a writer killed at the last moment leaves
        finished.path.with_suffix(".partial").write_bytes(b"half")
        assert (whole(cached_images(source, self.PREPROCESS, tmp_path)) == expected).all()

    def test_a_changed_picture_is_another_cache(self, folder: Path, tmp_path: Path) -> None:
        paths = []
        for number in (0, 1):
            data = Flickr8k(str(folder), image_size=32, cache_dir=str(tmp_path))
            data.setup()
            paths.append(data.pixels.path)
            (folder / "Images" / "2.jpg").write_bytes((folder / "Images" / f"{number}.jpg").read_bytes())
        assert paths[0] != paths[1]

    def test_size_and_way_of_resizing_are_part_of_the_name(self, tmp_path: Path) -> None:
        source = Shapes(8).load_source()
        settings = [Preprocess(32), Preprocess(64), Preprocess(32, resize="crop")]
        assert len({cached_images(source, setting, tmp_path).path for setting in settings}) == 3

    def test_two_writers(self, tmp_path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        with context.Pool(2) as pool:
            sums = pool.map(_cache_sum, [tmp_path, tmp_path])
        assert sums[0] == sums[1] > 0
        assert not list(tmp_path.glob("*.partial"))

    def test_sends_its_path_to_workers(self, tmp_path: Path) -> None:
        cache = cached_images(Shapes(8).load_source(), self.PREPROCESS, tmp_path)
        message = pickle.dumps(cache)
        assert len(message) < 1_000
        restored: CachedImages = pickle.loads(message)
        assert (restored[3] == cache[3]).all()

    def test_too_little_space(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class Usage:
            free = 1_000

        monkeypatch.setattr("imtext.data.cache.shutil.disk_usage", lambda _: Usage)
        with pytest.raises(DataError, match=r"paths\.cache_dir="):
            cached_images(Shapes(8).load_source(), self.PREPROCESS, tmp_path)
        assert not list(tmp_path.glob("*.npy"))


def _cache_sum(folder: Path) -> int:
    return int(whole(cached_images(Shapes(50).load_source(), Preprocess(32), folder)).sum())
