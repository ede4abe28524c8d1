"""One split as a data set of batches: distinct images, each with several of its captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from imtext.data.batch import Batch, BatchKey
from imtext.data.scales import Scales
from imtext.data.shared_texts import SharedTexts
from imtext.data.teacher import Teacher
from imtext.preprocess.tokenizer import Tokenizer

Source = TypeVar("Source")
Captions = Sequence[Sequence[str]] | Mapping[int, Sequence[str]]  # by row


class ImageSource(Protocol):
    """The source of a batch's images: pictures, or features of a frozen image tower."""

    first_block: int

    def batch(self, rows: Sequence[int], choices: Sequence[np.random.Generator], size: int | None = None) -> Tensor:
        """``[B, …]`` float32 for rows of the whole source.

        Args:
            rows: of the whole source.
            choices: for each row, the generator of its random changes.
            size: side of the pictures in pixels; None for the full size.
        """


class TextSource(Protocol):
    """Cached features of a frozen text tower."""

    def batch(self, captions: Sequence[tuple[int, int]]) -> Tensor:
        """``[N, num_features]`` float32 for N captions, each given as (row, number of the caption in its row)."""


class RetrievalDataset(Dataset[Batch]):
    """One split. An item is a whole batch, indexed by its `BatchKey`.

    Args:
        images: pairs (first epoch, source of pictures or features), in ascending order, the first from epoch 0.
        captions: captions of the whole source, by row.
        rows: the rows of this split; they are the `image_id` of its images.
        tokenizer: turns captions into token ids.
        text_features: pairs (first epoch, source of text features) in ascending order; None for no features.
        captions_per_image: maximum number of captions of an image in a batch, drawn again each epoch; None takes all.
        scales: chooses the size of the pictures of each batch; None for the full size.
        shared: the texts that several pictures have; None if there are none.
        teacher: a teacher's embeddings of these images and their captions; None for none.
        seed: seed of the run.
    """

    def __init__(
        self,
        images: Sequence[tuple[int, ImageSource]],
        captions: Captions,
        rows: Sequence[int],
        tokenizer: Tokenizer,
        *,
        text_features: Sequence[tuple[int, TextSource | None]] = (),
        captions_per_image: int | None = None,
        scales: Scales | None = None,
        shared: SharedTexts | None = None,
        teacher: Teacher | None = None,
        seed: int = 0,
    ) -> None:
        self.images, self.captions, self.rows = list(images), captions, rows
        self.tokenizer, self.text_features = tokenizer, [(0, None), *text_features]
        self.captions_per_image, self.scales = captions_per_image, scales
        self.shared, self.teacher, self.seed = shared or SharedTexts(), teacher, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: BatchKey) -> Batch:
        images, text_features = _current(self.images, key.epoch), _current(self.text_features, key.epoch)
        rows = [self.rows[position] for position in key.positions]
        choices = [np.random.default_rng([self.seed, key.epoch, row]) for row in rows]
        image = images.batch(rows, choices, self.scales.size(key, self.seed) if self.scales else None)
        chosen = [
            (row, number) for row, choice in zip(rows, choices, strict=True) for number in self._draw(row, choice)
        ]
        tokens = self.tokenizer([self.captions[row][number] for row, number in chosen])
        batch = Batch(
            image=image,
            first_block=images.first_block,
            input_ids=torch.from_numpy(tokens.input_ids),
            attention_mask=torch.from_numpy(tokens.attention_mask),
            image_id=torch.tensor(rows),
            caption_image_id=torch.tensor([row for row, _ in chosen]),
            caption_text_id=self.shared.of_captions(chosen),
            image_text_ids=self.shared.of_images(rows),
        )
        if text_features is not None:
            batch["text_features"] = text_features.batch(chosen)
        if self.teacher is not None:
            batch["teacher_image"] = self.teacher.image_batch(rows)
            batch["teacher_text"] = self.teacher.text_batch(chosen)
        return batch

    def _draw(self, row: int, rng: np.random.Generator) -> list[int]:
        """Numbers of the captions that go into the batch."""
        count = len(self.captions[row])
        if self.captions_per_image is None or count <= self.captions_per_image:
            return list(range(count))
        return [int(number) for number in rng.choice(count, self.captions_per_image, replace=False)]


def _current(sources: Sequence[tuple[int, Source]], epoch: int) -> Source:
    """The source that an epoch uses: the last one that starts at or before it."""
    return [source for first_epoch, source in sources if first_epoch <= epoch][-1]
