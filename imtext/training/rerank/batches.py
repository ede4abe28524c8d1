"""Batches for a re-ranker: captions, each with its picture and wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from imtext.data.batch import BatchKey
from imtext.data.dataset import ImageSource
from imtext.data.sampler import BatchSampler
from imtext.models import ImageEncoder
from imtext.preprocess.tokenizer import Tokenizer
from imtext.training.rerank.candidates import NONE


class RerankBatch(TypedDict):
    """N captions with K pictures each, among U different pictures; the first picture of a caption is its own."""

    tokens: Tensor  # [U, P, num_token_features] float32
    picture: Tensor  # [N, K] int64, position in `tokens`
    real: Tensor  # [N, K] bool, False where a caption has fewer wrong pictures
    input_ids: Tensor  # [N, L] int64
    attention_mask: Tensor  # [N, L] bool


class RerankDataset(Dataset[RerankBatch]):
    """Captions of the training pictures. An item is a whole batch, indexed by its `BatchKey`.

    Args:
        pictures: cached features of the training pictures, by row of the data set.
        encoder: the image tower that they come from.
        rows: row of each of I pictures.
        captions: T captions.
        own: ``[T]``, position of each caption's picture in `rows`.
        candidates: ``[T, C]``, result of `mine_candidates`.
        tokenizer: turns captions into token ids.
        num_negatives: wrong pictures of a caption, drawn again each epoch.
        seed: seed of the run.
    """

    def __init__(
        self,
        pictures: ImageSource,
        encoder: ImageEncoder,
        rows: Sequence[int],
        captions: Sequence[str],
        own: Tensor,
        candidates: Tensor,
        tokenizer: Tokenizer,
        num_negatives: int,
        seed: int = 0,
    ) -> None:
        self.pictures, self.encoder, self.rows = pictures, encoder, list(rows)
        self.captions, self.own, self.candidates = captions, own.numpy(), candidates.numpy()
        self.tokenizer, self.num_negatives, self.seed = tokenizer, num_negatives, seed
        # A caption that every picture has is of no use.
        self.usable = np.flatnonzero((self.candidates != NONE).any(axis=1))

    def __len__(self) -> int:
        return len(self.usable)

    def __getitem__(self, key: BatchKey) -> RerankBatch:
        captions = self.usable[list(key.positions)]
        chosen = np.stack([self._list(int(caption), key.epoch) for caption in captions])
        # Many captions share candidates, so each picture is read and projected once.
        found, position = np.unique(chosen, return_inverse=True)
        known = found[found != NONE]
        rows = [self.rows[picture] for picture in known]
        views = [np.random.default_rng([self.seed, key.epoch, row]) for row in rows]
        tokens = self.encoder.tokens(self.pictures.batch(rows, views), self.pictures.first_block)
        ids, mask = self.tokenizer([self.captions[caption] for caption in captions])
        shift = len(found) - len(known)  # NONE comes first
        return RerankBatch(
            tokens=tokens,
            picture=torch.from_numpy(np.maximum(position.reshape(chosen.shape) - shift, 0)),
            real=torch.from_numpy(chosen != NONE),
            input_ids=torch.from_numpy(ids),
            attention_mask=torch.from_numpy(mask),
        )

    def _list(self, caption: int, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The caption's own picture and wrong ones, drawn without replacement."""
        rng = np.random.default_rng([self.seed, epoch, caption])
        wrong = self.candidates[caption]
        wrong = np.append(rng.permutation(wrong[wrong != NONE]), np.full(self.num_negatives, NONE))
        return np.append(self.own[caption], wrong[: self.num_negatives]).astype(np.int64)


def loader(dataset: RerankDataset, batch_size: int, epoch: int, workers: int) -> DataLoader[RerankBatch]:
    """Batches in a new order each epoch, which depends on the seed and the epoch alone.

    Args:
        dataset: the captions.
        batch_size: captions of a batch.
        epoch: the first epoch.
        workers: processes that prepare batches.
    """
    sampler = BatchSampler(len(dataset), batch_size, shuffle=True, seed=dataset.seed, epoch=epoch)
    return DataLoader(dataset, batch_size=None, sampler=sampler, num_workers=workers, persistent_workers=workers > 0)
