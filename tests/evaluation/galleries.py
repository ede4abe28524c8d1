"""Small galleries for the tests of metrics."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# 4 images and 8 captions, two of each image: 0 0 1 1 2 2 3 3
OWNER = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
SCORES = torch.tensor(
    [
        [0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],  # image 0: own captions 0.9 and 0.1, so rank 1
        [0.8, 0.9, 0.7, 0.1, 0.2, 0.3, 0.4, 0.5],  # image 1: own 0.7 behind 0.9 and 0.8, so rank 3
        [0.1, 0.2, 0.3, 0.4, 0.0, 0.1, 0.5, 0.6],  # image 2: own 0.1 behind 0.2 … 0.6, tied with 0.1, so rank 7
        [0.0, 0.8, 0.1, 0.2, 0.3, 0.4, 0.9, 0.1],  # image 3: rank 1
    ]
)


def hand_written() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images and captions whose dot products are exactly `SCORES`."""
    return SCORES, torch.eye(SCORES.shape[1]), torch.arange(4), OWNER


def random_gallery(seed: int, images: int = 40) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images with 1, 3 or 5 captions, under shuffled ids."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.tensor([1, 3, 5])[torch.randint(0, 3, (images,), generator=generator)]
    image_id = torch.randperm(1_000, generator=generator)[:images]
    caption_image_id = image_id.repeat_interleave(counts)
    vectors = F.normalize(torch.randn(images, 16, generator=generator), dim=1)
    texts = vectors.repeat_interleave(counts, dim=0)
    texts = F.normalize(texts + torch.randn(texts.shape, generator=generator), dim=1)
    return vectors, texts, image_id, caption_image_id
