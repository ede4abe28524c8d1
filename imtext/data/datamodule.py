"""What all data sets share: splits, vocabulary, image cache and loaders."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from lightning.pytorch import LightningDataModule
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from imtext.data.cache import cached_images
from imtext.data.captions import SPLITS, CaptionedImages, Split, split_by_ratios
from imtext.data.dataset import Batch, BatchSampler, ImageSource, Pictures, RetrievalDataset
from imtext.data.tokenizer import CaptionTokenizer
from imtext.data.transforms import Augment
from imtext.data.word_vectors import latent_semantics
from imtext.errors import ConfigError, DataError
from imtext.preprocess import Preprocess, Resize

log = logging.getLogger(__name__)
SplitRule = Literal["ratios", "official"]


class RetrievalDataModule(LightningDataModule, ABC):
    """Images with captions, as batches of distinct images and several captions of each.

    Args:
        batch_size: images per training batch; each brings its captions.
        captions_per_image: captions of each image in a training batch, drawn anew every epoch where it has
            more; null takes all. Evaluation always takes all.
        shuffle: deal the training images anew every epoch.
        split: ``ratios`` cuts at random by image, ``official`` takes the source's own split.
        ratios: shares of train, val and test.
        split_seed: fixes the cut, independently of the training seed.
        image_size, image_mean, image_std, resize: see `Preprocess`.
        augment: random changes to training pictures; null for none.
        vocab_size, max_text_length, min_word_count: see `CaptionTokenizer.train`.
        num_workers: processes that prepare batches; `auto` is none on a CPU, which has better things to do,
            and up to 4 beside an accelerator.
        skip_broken: leave out unreadable pictures and empty captions instead of stopping.
        cache_dir: folder of decoded pictures.
        seed: of order, caption choice and augmentation; the training's.
        tokenizer: given when evaluating a trained model; otherwise learnt from the training captions.
    """

    def __init__(
        self,
        batch_size: int = 32,
        captions_per_image: int | None = 5,
        shuffle: bool = True,
        split: SplitRule = "ratios",
        ratios: Sequence[float] = (0.6, 0.2, 0.2),
        split_seed: int = 42,
        image_size: int = 224,
        image_mean: Sequence[float] = (0.485, 0.456, 0.406),
        image_std: Sequence[float] = (0.229, 0.224, 0.225),
        resize: Resize = "squash",
        augment: Augment | None = None,
        vocab_size: int = 10_000,
        max_text_length: int = 64,
        min_word_count: int = 1,
        num_workers: int | Literal["auto"] = "auto",
        skip_broken: bool = False,
        cache_dir: str = "~/.cache/imtext",
        seed: int = 0,
        tokenizer: CaptionTokenizer | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 2:
            raise ConfigError(f"data.batch_size={batch_size}: it takes at least 2, a batch of one has no negatives")
        if num_workers != "auto" and num_workers < 0:
            raise ConfigError(f"data.num_workers={num_workers}: a number from 0, or auto")
        if len(ratios) != 3 or min(ratios) < 0 or abs(sum(ratios) - 1) > 1e-6:
            raise ConfigError(f"data.ratios takes three shares that add up to 1, not {list(ratios)}")
        if captions_per_image is not None and captions_per_image < 1:
            raise ConfigError(f"data.captions_per_image must be at least 1 or null, not {captions_per_image}")
        if split not in get_args(SplitRule):
            raise ConfigError(f"data.split must be one of {', '.join(get_args(SplitRule))}, not {split!r}")
        self.batch_size, self.captions_per_image, self.shuffle = batch_size, captions_per_image, shuffle
        self.split_rule, self.ratios, self.split_seed = split, list(ratios), split_seed
        self.preprocess = Preprocess(image_size, image_mean, image_std, resize)
        self.augment = augment
        self.vocab_size, self.max_text_length, self.min_word_count = vocab_size, max_text_length, min_word_count
        self.num_workers, self.skip_broken, self.seed = num_workers, skip_broken, seed
        self.cache_dir = Path(cache_dir).expanduser()
        self._tokenizer = tokenizer
        self._ready = False
        self._first_epoch = 0
        # What training images are from an epoch on, None for pictures: see `imtext.training.features`.
        self.features: Mapping[int, ImageSource | None] = {}
        self.text_features: Mapping[int, Any] = {}

    @abstractmethod
    def load_source(self) -> CaptionedImages:
        """Read captions and find the pictures."""

    def setup(self, stage: str | None = None) -> None:
        """Read, decode, split and learn the vocabulary; does nothing the second time.

        Raises:
            DataError: naming what is missing or broken, and the way out.
        """
        if self._ready:
            return
        source = self.load_source()
        if not self.skip_broken:
            source.check()
        self.captions = [[text.strip() for text in texts if text.strip()] for texts in source.captions]
        self.names, self.fingerprint, self.source = source.names, source.fingerprint, source.source
        cache = cached_images(source, self.preprocess, self.cache_dir)
        self.pixels, broken = cache, cache.broken
        if broken and not self.skip_broken:
            shown = "; ".join(f"{source.names[row]} ({reason})" for row, reason in list(broken.items())[:3])
            raise DataError(
                f"{len(broken)} of {len(source)} pictures in {source.source} cannot be read: {shown}. "
                "Repair or remove them, or pass data.skip_broken=true to train without them."
            )
        usable = [row for row, texts in enumerate(self.captions) if texts and row not in broken]
        if len(usable) < len(source):
            log.warning(
                "Left out %d of %d images that are broken or have no caption", len(source) - len(usable), len(source)
            )
        self.rows = self._split_rows(source, usable)
        if self._tokenizer is None:
            self._tokenizer = CaptionTokenizer.train(
                (text for row in self.rows["train"] for text in self.captions[row]),
                self.vocab_size,
                self.max_text_length,
                self.min_word_count,
            )
        self._ready = True
        counts = ", ".join(f"{len(rows):,} {split}" for split, rows in self.rows.items())
        log.info("Data: %s images from %s, %s words", counts, source.source, f"{self.tokenizer.vocab_size:,}")

    def _split_rows(self, source: CaptionedImages, usable: list[int]) -> dict[Split, list[int]]:
        if self.split_rule == "ratios":
            parts = split_by_ratios(len(usable), self.ratios, self.split_seed)
            return {split: [usable[position] for position in positions] for split, positions in parts.items()}
        if source.official is None:
            raise DataError(
                f"{source.source} does not say which images are for training: use data.split=ratios"
                " (or data.split_column=… with data=table)."
            )
        usable_set = set(usable)
        return {split: [row for row in source.official[split] if row in usable_set] for split in SPLITS}

    @property
    def tokenizer(self) -> CaptionTokenizer:
        """The vocabulary in use."""
        assert self._tokenizer is not None, "call setup() first"
        return self._tokenizer

    def word_vectors(self, dim: int) -> Tensor:
        """Vectors ``[vocab_size, dim]`` for the words of the training captions, see `latent_semantics`."""
        documents = (
            [token for caption in self.captions[row] for token in self.tokenizer.tokenizer.encode(caption).ids]
            for row in self.rows["train"]
        )
        return latent_semantics(documents, self.tokenizer.vocab_size, dim)

    def picture(self, image_id: int) -> Image.Image:
        """An image as the model sees it, for people to look at."""
        return Image.fromarray(self.pixels[image_id])

    def require(self, *splits: Split) -> None:
        """Refuse to go on without images in these splits.

        Raises:
            DataError: a split is empty, or has a single image where two are needed to tell them apart.
        """
        for split in splits:
            if len(self.rows[split]) < 2:
                counts = ", ".join(f"{len(rows)} {name}" for name, rows in self.rows.items())
                raise DataError(
                    f"{self.source} has {len(self.rows[split])} {split} images with data.split={self.split_rule} "
                    f"({counts}), and at least 2 are needed. Change data.split or data.ratios."
                )

    def state_dict(self) -> dict[str, int]:
        """Which epoch comes next."""
        assert self.trainer is not None
        return {"epoch": self.trainer.fit_loop.epoch_progress.state_dict()["current"]["processed"]}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Called on resume, before any batch is fetched."""
        self._first_epoch = state_dict["epoch"]

    def pictures(self, augment: Augment | None = None) -> Pictures:
        """All images of the source as model input, by row."""
        return Pictures(self.pixels, self.preprocess, augment)

    def dataset(self, split: Split) -> RetrievalDataset:
        """The images of a split with all their captions, unchanged."""
        return RetrievalDataset([(0, self.pictures())], self.captions, self.rows[split], self.tokenizer)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches with augmentation."""
        pictures = self.pictures(self.augment)
        dataset = RetrievalDataset(
            [(0, pictures), *((epoch, features or pictures) for epoch, features in self.features.items())],
            self.captions,
            self.rows["train"],
            self.tokenizer,
            captions_per_image=self.captions_per_image,
            seed=self.seed,
        )
        # Workers fetch their first batches before Lightning tells the sampler which epoch it is.
        epoch = self._first_epoch
        return self._loader(
            dataset, BatchSampler(len(dataset), self.batch_size, shuffle=self.shuffle, seed=self.seed, epoch=epoch)
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation images with all their captions."""
        return self.eval_dataloader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches of the test images with all their captions."""
        return self.eval_dataloader("test")

    def eval_dataloader(self, split: Split) -> DataLoader[Batch]:
        """Batches of any split with all its captions, in order.

        Raises:
            DataError: the split has fewer than two images.
        """
        self.require(split)
        dataset = self.dataset(split)
        return self._loader(dataset, BatchSampler(len(dataset), min(max(self.batch_size, 32), 64), shuffle=False))

    def _loader(self, dataset: RetrievalDataset, sampler: BatchSampler) -> DataLoader[Batch]:
        on_cpu = self.trainer is None or self.trainer.strategy.root_device.type == "cpu"
        few = 0 if on_cpu else min(4, os.cpu_count() or 1)
        workers = few if self.num_workers == "auto" else self.num_workers
        # batch_size=None: the sampler's key already names a whole batch.
        return DataLoader(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available() and not on_cpu,
        )
