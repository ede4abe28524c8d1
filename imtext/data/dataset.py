"""Batches: distinct images, each with several of its captions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypedDict

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

    image: Tensor  # [B, 3, H, W] float32, normalised
    input_ids: Tensor  # [N, L] int64
    attention_mask: Tensor  # [N, L] bool
    image_id: Tensor  # [B] int64
    caption_image_id: Tensor  # [N] int64, the image each caption belongs to


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
        pixels: pictures of the whole source, by row.
        captions: captions of the whole source, by row.
        rows: the rows of this split; they are the `image_id` of its images.
        tokenizer: learnt from the training split.
        preprocess: gives mean and standard deviation.
        augment: random changes to training pictures; None in evaluation.
        captions_per_image: at most this many captions of an image in a batch, drawn anew each epoch;
            None takes all.
        seed: of the training.
    """

    def __init__(
        self,
        pixels: CachedImages,
        captions: Sequence[Sequence[str]],
        rows: Sequence[int],
        tokenizer: CaptionTokenizer,
        preprocess: Preprocess,
        *,
        augment: Augment | None = None,
        captions_per_image: int | None = None,
        seed: int = 0,
    ) -> None:
        self.pixels, self.captions, self.rows = pixels, captions, list(rows)
        self.tokenizer, self.preprocess, self.augment = tokenizer, preprocess, augment
        self.captions_per_image, self.seed = captions_per_image, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: BatchKey) -> Batch:
        images, captions, owners = [], [], []
        rows = [self.rows[position] for position in key.positions]
        for row in rows:
            rng = np.random.default_rng([self.seed, key.epoch, row])
            image = torch.from_numpy(self.pixels[row]).permute(2, 0, 1)
            images.append(self.augment(image, rng) if self.augment else image)
            chosen = self._choose(self.captions[row], rng)
            captions += chosen
            owners += [row] * len(chosen)
        input_ids, attention_mask = self.tokenizer(captions)
        return Batch(
            image=normalize(torch.stack(images), self.preprocess),
            input_ids=input_ids,
            attention_mask=attention_mask,
            image_id=torch.tensor(rows),
            caption_image_id=torch.tensor(owners),
        )

    def _choose(self, captions: Sequence[str], rng: np.random.Generator) -> list[str]:
        if self.captions_per_image is None or len(captions) <= self.captions_per_image:
            return list(captions)
        return [captions[i] for i in rng.choice(len(captions), self.captions_per_image, replace=False)]
