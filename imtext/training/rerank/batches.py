"""Batches for a re-ranker: groups of neighbouring pictures with their captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from imtext.data.batch import BatchKey
from imtext.data.dataset import ImageSource
from imtext.models.image_encoder import as_tokens
from imtext.preprocess.tokenizer import Tokenizer
from imtext.training.rerank.neighbours import NONE


class RerankBatch(TypedDict):
    """B different pictures and N captions of them."""

    tokens: Tensor  # [B, P, num_token_features] float32
    input_ids: Tensor  # [N, L] int64
    attention_mask: Tensor  # [N, L] bool
    own: Tensor  # [N] int64, position of each caption's picture
    also: Tensor  # [N, B] bool, other pictures that have a caption of the same text


class RerankDataset(Dataset[RerankBatch]):
    """The training pictures with their captions. An item is a whole batch, indexed by its `BatchKey`.

    Args:
        pictures: cached input of the last block for the training pictures, by row of the data set.
        num_prefix_tokens: of the image tower that they come from; the tower itself would not reach other processes.
        rows: row of each of I pictures.
        captions: T captions.
        own: ``[T]``, position of each caption's picture in `rows`.
        same_text: the pictures that have a caption of the same text, for each caption.
        tokenizer: turns captions into token ids.
        captions_per_picture: captions of a picture, drawn again each epoch; None takes all.
        seed: seed of the run.
    """

    def __init__(
        self,
        pictures: ImageSource,
        num_prefix_tokens: int,
        rows: Sequence[int],
        captions: Sequence[str],
        own: Tensor,
        same_text: Sequence[frozenset[int]],
        tokenizer: Tokenizer,
        captions_per_picture: int | None = None,
        seed: int = 0,
    ) -> None:
        self.pictures, self.num_prefix_tokens, self.rows = pictures, num_prefix_tokens, list(rows)
        self.captions, self.same_text, self.tokenizer = captions, same_text, tokenizer
        self.captions_per_picture, self.seed = captions_per_picture, seed
        self.captions_of: list[list[int]] = [[] for _ in self.rows]
        for caption, picture in enumerate(own.tolist()):
            self.captions_of[picture].append(caption)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: BatchKey) -> RerankBatch:
        rows = [self.rows[picture] for picture in key.positions]
        choices = [np.random.default_rng([self.seed, key.epoch, row]) for row in rows]
        tokens = as_tokens(self.pictures.batch(rows, choices), self.num_prefix_tokens)
        chosen = [
            (place, caption)
            for place, (picture, choice) in enumerate(zip(key.positions, choices, strict=True))
            for caption in self._draw(self.captions_of[picture], choice)
        ]
        ids, mask = self.tokenizer([self.captions[caption] for _, caption in chosen])
        return RerankBatch(
            tokens=tokens,
            input_ids=torch.from_numpy(ids),
            attention_mask=torch.from_numpy(mask),
            own=torch.tensor([place for place, _ in chosen]),
            also=torch.tensor([self._others(key.positions, place, caption) for place, caption in chosen]),
        )

    def _others(self, pictures: Sequence[int], own: int, caption: int) -> list[bool]:
        """Whether each picture, other than the caption's own, has a caption of the same text."""
        same = self.same_text[caption]
        return [place != own and picture in same for place, picture in enumerate(pictures)]

    def _draw(self, captions: Sequence[int], rng: np.random.Generator) -> list[int]:
        if self.captions_per_picture is None or len(captions) <= self.captions_per_picture:
            return list(captions)
        return [int(caption) for caption in rng.choice(captions, self.captions_per_picture, replace=False)]


class NeighbourSampler(Sampler[BatchKey]):
    """Divides the pictures into batches of groups of neighbours, each picture once, in a new order each epoch.

    The order depends on the seed and the epoch alone. A last, smaller batch is left out, unless it is the only one.

    Args:
        neighbours: ``[I, C]``, result of `nearest_pictures`.
        batch_size: pictures of a batch.
        group: pictures of a group, fewer where all neighbours are in other groups already.
        seed: seed of the run.
        epoch: the first epoch; Lightning announces later epochs through `set_epoch`.
    """

    def __init__(self, neighbours: Tensor, batch_size: int, group: int, seed: int = 0, epoch: int = 0) -> None:
        self.neighbours, self.batch_size, self.group = neighbours.numpy(), batch_size, group
        self.seed, self.epoch = seed, epoch

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, len(self.neighbours) // self.batch_size)

    def __iter__(self) -> Iterator[BatchKey]:
        order = list(self._grouped(np.random.default_rng([self.seed, self.epoch])))
        for number in range(len(self)):
            chosen = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield BatchKey(self.epoch, tuple(chosen))

    def _grouped(self, rng: np.random.Generator) -> Iterator[int]:
        """All pictures, each once, groups one after the other."""
        free = np.ones(len(self.neighbours), dtype=bool)
        for first in rng.permutation(len(self.neighbours)):
            if not free[first]:
                continue
            near = rng.permutation(self.neighbours[first])
            near = near[near != NONE]
            members = [first, *near[free[near]][: self.group - 1]]
            free[members] = False
            yield from map(int, members)


def loader(dataset: RerankDataset, sampler: NeighbourSampler, workers: int) -> DataLoader[RerankBatch]:
    """Batches of a data set, prepared by as many processes."""
    return DataLoader(dataset, batch_size=None, sampler=sampler, num_workers=workers, persistent_workers=workers > 0)
