"""The base of all data sets: reading, splitting, the tokenizer, and data loaders."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, get_args

from lightning.pytorch import LightningDataModule
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from imtext.data.augment import Augment
from imtext.data.batch import Batch
from imtext.data.captions import CaptionedImages, Split
from imtext.data.dataset import ImageSource, RetrievalDataset, TextSource
from imtext.data.images import cached_images
from imtext.data.loading import loader_settings
from imtext.data.order import Order
from imtext.data.pictures import PER_PASS, Pictures
from imtext.data.sampler import BatchSampler
from imtext.data.scales import Scales
from imtext.data.shared_texts import find_shared_texts
from imtext.data.splits import SplitRule, split_rows, usable_rows
from imtext.data.teacher import Teacher, read_teacher
from imtext.data.vocabulary import learn_vocabulary, read_tokenizer
from imtext.data.word_vectors import latent_semantics
from imtext.errors import ConfigError, DataError
from imtext.preprocess import Interpolation, Preprocess, Resize
from imtext.preprocess.tokenizer import Tokenizer

log = logging.getLogger(__name__)


class RetrievalDataModule(LightningDataModule, ABC):
    """Images with captions, as batches of distinct images and several captions of each.

    Args:
        batch_size: images per training batch; each comes with its captions.
        captions_per_image: maximum number of captions of an image in a training batch, drawn again every epoch;
            null takes all. Evaluation always takes all.
        shuffle: draw a new order of the training images every epoch.
        split: ``ratios`` splits at random by image, ``official`` uses the source's own split.
        ratios: shares of train, val and test.
        split_seed: fixes the random split, independently of the run's seed.
        image_size, image_mean, image_std, interpolation, resize: see `Preprocess`; null takes the image tower's value.
        augment: random changes to training pictures; null for none.
        order: how training batches are composed; null draws them at random.
        teacher: file of a teacher's embeddings, written by `python -m imtext.embed`, for a loss that learns from them;
            null for none.
        scales: sizes of training pictures, batch by batch; null for `image_size` always.
        tokenizer: path of a `tokenizer.json`; null learns a vocabulary from the training captions.
        vocab_size, min_word_count: limits of a learnt vocabulary, see `learn_vocabulary`.
        max_text_length: maximum number of tokens of a caption.
        num_workers: processes that prepare batches; `auto` is none on a CPU, where they would compete with training,
            and up to 4 with an accelerator.
        skip_broken: leave out unreadable pictures and empty captions instead of stopping.
        cache_dir: folder of decoded pictures.
        seed: seed of the run; fixes order, choice of captions and augmentation.
    """

    streams: ClassVar[bool] = False  # training batches come from more than `rows["train"]`, its first samples

    def __init__(
        self,
        batch_size: int = 32,
        captions_per_image: int | None = 5,
        shuffle: bool = True,
        split: SplitRule = "ratios",
        ratios: Sequence[float] = (0.6, 0.2, 0.2),
        split_seed: int = 42,
        image_size: int | None = None,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
        interpolation: Interpolation | None = None,
        resize: Resize | None = None,
        augment: Augment | None = None,
        order: Order | None = None,
        teacher: str | None = None,
        scales: Scales | None = None,
        tokenizer: str | None = None,
        vocab_size: int = 10_000,
        max_text_length: int = 64,
        min_word_count: int = 1,
        num_workers: int | Literal["auto"] = "auto",
        skip_broken: bool = False,
        cache_dir: str = "~/.cache/imtext",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 2:
            raise ConfigError(f"data.batch_size={batch_size} must be at least 2: a single image has no negatives")
        if num_workers != "auto" and num_workers < 0:
            raise ConfigError(f"data.num_workers={num_workers} must be at least 0, or auto")
        if len(ratios) != 3 or min(ratios) < 0 or abs(sum(ratios) - 1) > 1e-6:
            raise ConfigError(f"data.ratios takes three shares that add up to 1, not {list(ratios)}")
        if captions_per_image is not None and captions_per_image < 1:
            raise ConfigError(f"data.captions_per_image must be at least 1 or null, not {captions_per_image}")
        if split not in get_args(SplitRule):
            raise ConfigError(f"data.split must be one of {', '.join(get_args(SplitRule))}, not {split!r}")
        if order is not None and not shuffle:
            raise ConfigError("data.shuffle=false repeats the same batches, so data.order has no effect: leave out one")
        self.batch_size, self.captions_per_image, self.shuffle = batch_size, captions_per_image, shuffle
        self.split_rule, self.ratios, self.split_seed = split, list(ratios), split_seed
        self.picture_settings = {
            "image_size": image_size, "image_mean": image_mean, "image_std": image_std,
            "interpolation": interpolation, "resize": resize,
        }  # fmt: skip
        self.preprocess = Preprocess().override(**self.picture_settings)
        self.augment, self.order, self.scales = augment, order, scales
        self.teacher_path, self.tokenizer_path = teacher, tokenizer
        self.vocab_size, self.max_text_length, self.min_word_count = vocab_size, max_text_length, min_word_count
        self.num_workers, self.skip_broken, self.seed = num_workers, skip_broken, seed
        self.cache_dir = Path(cache_dir).expanduser()
        self._tokenizer: Tokenizer | None = None
        self._teacher: Teacher | None = None
        self._word_vectors: dict[int, Tensor] = {}
        self._ready, self.first_epoch = False, 0  # the first epoch of a resumed run is a later one
        # Sources of training images and of text features by their first epoch; None means pictures or tokens.
        self.features: Mapping[int, ImageSource | None] = {}
        self.text_features: Mapping[int, TextSource | None] = {}

    @abstractmethod
    def load_source(self) -> CaptionedImages:
        """Read captions and find the pictures."""

    def use_model(self, preprocess: Preprocess, tokenizer: Tokenizer | None = None, trained: bool = False) -> None:
        """Prepare pictures and captions for a model. Call it before `setup`.

        Args:
            preprocess: the input that the image tower expects.
            tokenizer: tokenizer of the text tower; it takes the place of a learnt vocabulary.
            trained: the model was trained with this preprocessing and this tokenizer, which are used unchanged.
                Otherwise data settings that are not null override the preprocessing.

        Raises:
            ConfigError: the text tower of a new model has its own tokenizer, and `data.tokenizer` names another.
        """
        if self._ready:
            raise RuntimeError("use_model() must be called before setup()")
        if tokenizer is not None and self.tokenizer_path is not None and not trained:
            raise ConfigError(f"data.tokenizer={self.tokenizer_path}: the text tower has a tokenizer of its own")
        self.preprocess = preprocess if trained else preprocess.override(**self.picture_settings)
        self._tokenizer = tokenizer

    def setup(self, stage: str | None = None) -> None:
        """Read, decode and split the data and choose the tokenizer. Calling it again has no effect.

        Raises:
            DataError: something is missing or broken; the message names it and the fix.
            ConfigError: `scales` has sizes above the size of the pictures.
        """
        if self._ready:
            return
        if self.scales is not None:
            self.scales.check(self.preprocess.image_size)
        if self._tokenizer is None and self.tokenizer_path is not None:  # before the slow part
            self._tokenizer = read_tokenizer(self.tokenizer_path, self.max_text_length)
        if self.teacher_path is not None:
            self._teacher = read_teacher(self.teacher_path)
        source = self.load_source()
        if not self.skip_broken:
            source.check()
        self.captions = [[text.strip() for text in texts if text.strip()] for texts in source.captions]
        self.names, self.fingerprint, self.source = source.names, source.fingerprint, source.source
        self.pixels = cached_images(source, self.preprocess, self.cache_dir)
        usable = usable_rows(source, self.captions, self.pixels.broken, self.skip_broken)
        self.rows = split_rows(source, usable, self.split_rule, self.ratios, self.split_seed)
        if self._teacher is not None:  # training and validation measure the loss
            self._teacher.check(source, self.captions, {split: self.rows[split] for split in ("train", "val")})
        if self._tokenizer is None:
            texts = (text for row in self.rows["train"] for text in self.captions[row])
            self._tokenizer = learn_vocabulary(texts, self.vocab_size, self.max_text_length, self.min_word_count)
        self.shared_texts = find_shared_texts(self.captions, (row for rows in self.rows.values() for row in rows))
        self._ready = True
        counts = ", ".join(f"{len(rows):,} {split}" for split, rows in self.rows.items())
        log.info("Data: %s images from %s%s%s", counts, source.source, source.note, self.shared_texts)
        log.info("Tokenizer: %s, %s tokens", self.tokenizer.vocabulary.kind, f"{self.tokenizer.vocabulary.size:,}")

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer in use, after `setup`."""
        if self._tokenizer is None:
            raise RuntimeError("call setup() first")
        return self._tokenizer

    @property
    def images_per_epoch(self) -> int:
        """Number of training images in an epoch."""
        return len(self.rows["train"])

    def word_vectors(self, dim: int) -> Tensor:
        """Vectors ``[vocabulary size, dim]`` for the tokens of the training captions, see `latent_semantics`."""
        if dim not in self._word_vectors:
            tokens = (self.tokenizer(self.captions[row]) for row in self.rows["train"])
            # Special tokens are in all captions, so their weight is zero.
            documents = (ids[mask].tolist() for ids, mask in tokens)
            self._word_vectors[dim] = latent_semantics(documents, self.tokenizer.vocabulary.size, dim)
        return self._word_vectors[dim]

    def picture(self, image_id: int) -> Image.Image:
        """An image at the size that the model sees, for display."""
        return Image.fromarray(self.pixels[image_id])

    def require(self, *splits: Split) -> None:
        """Check that these splits have images.

        Raises:
            DataError: a split has fewer than two images.
        """
        for split in splits:
            if len(self.rows[split]) < 2:
                counts = ", ".join(f"{len(rows)} {name}" for name, rows in self.rows.items())
                raise DataError(
                    f"{self.source} has {len(self.rows[split])} {split} images with data.split={self.split_rule} "
                    f"({counts}), but at least 2 are needed. Give more, or change data.split or data.ratios."
                )

    def state_dict(self) -> dict[str, int]:
        """The number of finished epochs."""
        assert self.trainer is not None
        return {"epoch": self.trainer.fit_loop.epoch_progress.state_dict()["current"]["processed"]}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Called on resume, before any batch is fetched."""
        self.first_epoch = state_dict["epoch"]

    def pictures(self, augment: Augment | None = None) -> Pictures:
        """All images of the source as model input, by row."""
        return Pictures(self.pixels, self.preprocess, augment)

    def dataset(self, split: Split) -> RetrievalDataset:
        """The images of a split with all their captions, without augmentation."""
        return RetrievalDataset(
            [(0, self.pictures())],
            self.captions,
            self.rows[split],
            self.tokenizer,
            shared=self.shared_texts,
            teacher=self._teacher if split == "val" else None,
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches with augmentation."""
        if self.order is not None:
            self.order.prepare([self.captions[row] for row in self.rows["train"]], self.tokenizer)
        pictures = self.pictures(self.augment)
        dataset = RetrievalDataset(
            [(0, pictures), *((epoch, features or pictures) for epoch, features in self.features.items())],
            self.captions,
            self.rows["train"],
            self.tokenizer,
            text_features=list(self.text_features.items()),
            captions_per_image=self.captions_per_image,
            scales=self.scales,
            shared=self.shared_texts,
            teacher=self._teacher,
            seed=self.seed,
        )
        return self._loader(dataset, self.batch_size, shuffle=self.shuffle, order=self.order)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation images with all their captions."""
        return self.eval_dataloader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches of the test images with all their captions."""
        return self.eval_dataloader("test")

    def eval_dataloader(self, split: Split) -> DataLoader[Batch]:
        """Batches of any split with all captions, in order.

        Raises:
            DataError: the split has fewer than two images.
        """
        self.require(split)
        return self._loader(self.dataset(split), PER_PASS, shuffle=False)

    def _loader(
        self, dataset: RetrievalDataset, batch_size: int, shuffle: bool, order: Order | None = None
    ) -> DataLoader[Batch]:
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        # The sampler is told the first epoch because workers fetch batches before Lightning announces it.
        sampler = BatchSampler(
            len(dataset), batch_size, shuffle=shuffle, seed=self.seed, epoch=self.first_epoch,
            rank=rank, world_size=world_size, order=order,
        )  # fmt: skip
        settings = loader_settings(self.trainer, self.num_workers)
        if order is not None and not order.known_early:
            settings["num_workers"] = 0
        return DataLoader(
            dataset,
            batch_size=None,  # the sampler's keys already name whole batches
            sampler=sampler,
            persistent_workers=settings["num_workers"] > 0,
            **settings,
        )
