"""Training data of any size: shards in the layout of img2dataset, read as a stream with the webdataset library."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from imtext.data.captions import CaptionedImages, Split
from imtext.data.datamodule import RetrievalDataModule
from imtext.data.loading import loader_settings
from imtext.data.streaming.batches import BatchMaker
from imtext.data.streaming.counting import count_samples
from imtext.data.streaming.finite import finite_images, joined
from imtext.data.streaming.loader import StreamLoader
from imtext.data.streaming.shards import are_shards, find_shards, mark
from imtext.data.streaming.stream import ShardStream
from imtext.data.table import Table
from imtext.errors import ConfigError, DataError, needs

log = logging.getLogger(__name__)


class WebDataset(RetrievalDataModule):
    """Tar shards as a stream of training data.

    The first samples (`head`) are read before training, and are what is called the training split wherever finite data
    is needed: the learnt vocabulary, initial word vectors, the correction of hubs, `imtext.evaluate split=train`.

    Args:
        path: shards: a pattern such as ``shards/{00000..00099}.tar``, a folder, an address (http, s3), or a list.
        validation: held-out pictures: a captions file, a folder of parquet files, or shards, which are left out of
            training.
        samples_per_epoch: samples of an epoch, of all processes together; null takes the number of all samples.
        shuffle_buffer: samples in memory of each reader, from which the next one is drawn.
        head: number of samples that are read before training.
        caption_keys: keys of the JSON files that hold captions; null takes those with a typical name, and then the
            text file.
        split, skip_broken: see `RetrievalDataModule`; a stream cannot be split at random.
        common: settings shared by all data sets, see `RetrievalDataModule`.
    """

    streams = True

    def __init__(
        self,
        path: str | Sequence[str] | None = None,
        validation: str | Sequence[str] | None = None,
        samples_per_epoch: int | None = None,
        shuffle_buffer: int = 2_000,
        head: int = 10_000,
        caption_keys: Sequence[str] | None = None,
        split: str = "official",
        skip_broken: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(split=split, skip_broken=skip_broken, **common)  # type: ignore[arg-type]
        if not path or not validation:
            raise DataError(
                'data=webdataset needs shards and held-out pictures: data.path="shards/{00000..00098}.tar" '
                "data.validation=shards/00099.tar (or a captions file)"
            )
        if split != "official":
            raise ConfigError(f"data.split={split}: a stream is not split. Hold pictures out with data.validation=…")
        for name, value in (("order", self.order), ("teacher", self.teacher_path)):
            if value is not None:
                raise ConfigError(f"data.{name} needs all pictures, which a stream does not have: set data.{name}=null")
        limits = {"samples_per_epoch": samples_per_epoch, "shuffle_buffer": shuffle_buffer, "head": head}
        for name, number in limits.items():
            if number is not None and number < 2:
                raise ConfigError(f"data.{name}={number} must be at least 2")
        with needs("webdataset"):
            import webdataset  # noqa: F401
        self.path, self.validation = path, validation
        self.samples_per_epoch, self.shuffle_buffer, self.head = samples_per_epoch, shuffle_buffer, head
        self.caption_keys = tuple(caption_keys) if caption_keys else None

    @cached_property
    def shards(self) -> list[str]:
        """The shards of training: all of `path` that are not for validation."""
        held_out = set(map(mark, self._validation_shards))
        shards = [shard for shard in find_shards(self.path) if mark(shard) not in held_out]
        if not shards:
            raise DataError(f"data.path={self.path}: all shards are held out by data.validation={self.validation}")
        return shards

    @cached_property
    def _validation_shards(self) -> list[str]:
        assert self.validation is not None
        return find_shards(self.validation, "data.validation") if are_shards(self.validation) else []

    @cached_property
    def images_per_epoch(self) -> int:
        """Number of samples of an epoch, of all processes together."""
        return self.samples_per_epoch or count_samples(self.shards, self.cache_dir)

    def load_source(self) -> CaptionedImages:
        """The head of the stream, and the held-out pictures."""
        shards, source = self.shards, str(self.path)
        log.debug("%d samples in an epoch", self.images_per_epoch)  # if they cannot be counted, nothing is read
        head = finite_images(
            shards, self.head, self.caption_keys, self.cache_dir, self.preprocess.image_size, source, self.skip_broken
        )
        note = f"; these train images are the first of {len(shards):,} shards, which training reads as a stream"
        return replace(joined(head, self._load_validation()), note=note)

    def _load_validation(self) -> CaptionedImages:
        if self._validation_shards:
            return finite_images(
                self._validation_shards, None, self.caption_keys, self.cache_dir, self.preprocess.image_size,
                str(self.validation), self.skip_broken,
            )  # fmt: skip
        table = Table(path=str(self.validation), skip_broken=self.skip_broken)
        table.preprocess = self.preprocess
        try:
            return table.load_source()
        except DataError as error:
            raise DataError(
                f"data.validation={self.validation}: {error} (Here, a table has columns with typical names, and paths "
                "relative to its own folder.)"
            ) from error

    def require(self, *splits: Split) -> None:
        """Check that these splits have images.

        Raises:
            DataError: a split has fewer than two images, or it is the test split, which a stream does not have.
        """
        if "test" in splits:
            raise DataError(
                "data=webdataset has no test split. Measure validation with split=val, or other pictures with "
                "data=table data.path=…"
            )
        super().require(*splits)

    def train_dataloader(self) -> StreamLoader:  # type: ignore[override]
        """Shuffled batches with augmentation, read from the shards."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        make = BatchMaker(
            self.preprocess, self.tokenizer, self.augment, self.captions_per_image, self.scales, self.seed
        )
        stream = ShardStream(
            tuple(self.shards), make, self.batch_size, buffer=self.shuffle_buffer if self.shuffle else 1,
            caption_keys=self.caption_keys, seed=self.seed, rank=rank, world_size=world_size,
        )  # fmt: skip
        settings = loader_settings(self.trainer, self.num_workers)
        steps = max(1, self.images_per_epoch // (self.batch_size * world_size))
        readers = world_size * max(1, settings["num_workers"])
        log.info("Stream: %s steps of %d pictures in an epoch, from %s", f"{steps:,}", self.batch_size * world_size,
                 f"{len(self.shards):,} shards")  # fmt: skip
        if len(self.shards) < readers:
            log.warning(
                "%d shards are fewer than the %d readers (processes times workers), so every reader reads all of them. "
                "More and smaller shards are read faster", len(self.shards), readers,
            )  # fmt: skip
        return StreamLoader(stream, steps, self.first_epoch, self.skip_broken, settings)
