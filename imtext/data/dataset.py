"""Batches: distinct images, each with several of its captions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, NotRequired, Protocol, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from imtext.data.cache import CachedImages
from imtext.data.tokenizer import CaptionTokenizer
from imtext.data.transforms import Augment, normalize
from imtext.preprocess import Preprocess


class Batch(TypedDict):
    """B distinct images and N ≥ B captions of them; one forward of an image serves all its captions."""

    image: Tensor  # [B, 3, H, W] float32, normalised; or what the first blocks of a frozen image tower made of it
    first_block: int  # of the image tower that is still to be run: 0 for pictures
    input_ids: Tensor  # [N, L] int64
    attention_mask: Tensor  # [N, L] bool
    text_features: NotRequired[Tensor]  # [N, num_features] float32, of a frozen and cached text tower
    image_id: Tensor  # [B] int64
    caption_image_id: Tensor  # [N] int64, the image each caption belongs to


class ImageSource(Protocol):
    """Where a batch gets its images from: pictures, or features of a frozen tower."""

    first_block: int

    def batch(self, rows: Sequence[int], choices: Sequence[np.random.Generator]) -> Tensor:
        """``[B, …]`` float32 for rows of the whole source; `choices` decide on random changes, one each."""


class Pictures:
    """Cached pictures, augmented and normalised.

    Args:
        pixels: of the whole source.
        preprocess: gives mean and standard deviation.
        augment: random changes to training pictures; None in evaluation.
    """

    first_block = 0

    def __init__(self, pixels: CachedImages, preprocess: Preprocess, augment: Augment | None = None) -> None:
        self.pixels, self.preprocess, self.augment = pixels, preprocess, augment

    def batch(self, rows: Sequence[int], choices: Sequence[np.random.Generator]) -> Tensor:
        """``[B, 3, H, W]`` float32."""
        images = [torch.from_numpy(self.pixels[row]).permute(2, 0, 1) for row in rows]
        if self.augment is not None:
            images = [self.augment(image, choice) for image, choice in zip(images, choices, strict=True)]
        return normalize(torch.stack(images), self.preprocess)


class BatchKey(NamedTuple):
    """Names one batch; with the seed it fixes every random choice in it, whichever worker makes it."""

    epoch: int
    positions: tuple[int, ...]  # in the split


class BatchSampler(Sampler[BatchKey]):
    """Deals the images of a split into batches, anew each epoch.

    The order depends on the seed and the epoch alone, so an interrupted training that goes on at epoch e
    sees what it would have seen. The last, smaller batch is left out when shuffling (a small batch has few
    negatives and a misleading loss), unless it is the only one.
    """

    def __init__(self, size: int, batch_size: int, *, shuffle: bool, seed: int = 0, epoch: int = 0) -> None:
        self.size, self.batch_size, self.shuffle, self.seed, self.epoch = size, batch_size, shuffle, seed, epoch
        self.batches = max(1, size // batch_size) if shuffle else math.ceil(size / batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[BatchKey]:
        order = np.arange(self.size)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.size)
        for batch in range(self.batches):
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield BatchKey(self.epoch, tuple(int(position) for position in chosen))


class RetrievalDataset(Dataset[Batch]):
    """One split. Indexed by `BatchKey`, it returns whole batches.

    Args:
        images: the source of pictures or features from each epoch on, in ascending order: ``[(0, …), …]``.
        captions: captions of the whole source, by row.
        rows: the rows of this split; they are the `image_id` of its images.
        tokenizer: learnt from the training split.
        captions_per_image: at most this many captions of an image in a batch, drawn anew each epoch;
            None takes all.
        seed: of the training.
    """

    def __init__(
        self,
        images: Sequence[tuple[int, ImageSource]],
        captions: Sequence[Sequence[str]],
        rows: Sequence[int],
        tokenizer: CaptionTokenizer,
        *,
        captions_per_image: int | None = None,
        seed: int = 0,
    ) -> None:
        self.images, self.captions, self.rows = list(images), captions, list(rows)
        self.tokenizer, self.captions_per_image, self.seed = tokenizer, captions_per_image, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: BatchKey) -> Batch:
        source = [source for first_epoch, source in self.images if first_epoch <= key.epoch][-1]
        rows = [self.rows[position] for position in key.positions]
        choices = [np.random.default_rng([self.seed, key.epoch, row]) for row in rows]
        image = source.batch(rows, choices)
        captions, owners = [], []
        for row, choice in zip(rows, choices, strict=True):
            chosen = self._choose(self.captions[row], choice)
            captions += chosen
            owners += [row] * len(chosen)
        input_ids, attention_mask = self.tokenizer(captions)
        return Batch(
            image=image,
            first_block=source.first_block,
            input_ids=input_ids,
            attention_mask=attention_mask,
            image_id=torch.tensor(rows),
            caption_image_id=torch.tensor(owners),
        )

    def _choose(self, captions: Sequence[str], rng: np.random.Generator) -> list[str]:
        if self.captions_per_image is None or len(captions) <= self.captions_per_image:
            return list(captions)
        return [captions[i] for i in rng.choice(len(captions), self.captions_per_image, replace=False)]
