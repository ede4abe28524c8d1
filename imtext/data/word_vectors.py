"""Word vectors to begin with, learnt from the training captions alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor


def latent_semantics(documents: Iterable[Iterable[int]], vocab_size: int, dim: int) -> Tensor:
    """Vectors in which words that describe the same pictures lie close together.

    Latent semantic analysis (Deerwester et al., 1990): how often each word stands in the captions of each image,
    damped by a logarithm and weighted up where few images have it (tf-idf), then reduced to the strongest directions.

    Args:
        documents: token ids of all captions of an image, for each **training** image.
        vocab_size: number of words.
        dim: size of a vector.

    Returns:
        ``[vocab_size, dim]`` float32 with a standard deviation of 1; zeros for words that stand nowhere or everywhere,
        and in what a small vocabulary or few images leave of `dim`.
    """
    # Imported here: they take a second, which trainings that begin at random need not wait.
    from scipy.sparse import csr_array
    from sklearn.utils.extmath import randomized_svd

    rows = [torch.bincount(torch.tensor(list(ids)), minlength=vocab_size) for ids in documents]
    words, images = zip(*[(row.nonzero()[:, 0].numpy(), row[row > 0].numpy()) for row in rows], strict=True)
    ends = np.cumsum([0, *map(len, words)])
    counts = csr_array((np.log1p(np.concatenate(images)), np.concatenate(words), ends), (len(rows), vocab_size))
    having = np.bincount(np.concatenate(words), minlength=vocab_size)
    rarity = np.where(having > 0, np.log(len(rows) / np.maximum(having, 1)), 0)
    rank = min(dim, *counts.shape)
    _, strengths, directions = randomized_svd(counts * rarity, rank, random_state=0)
    vectors = np.zeros((vocab_size, dim), dtype=np.float32)
    vectors[:, :rank] = directions.T * np.sqrt(strengths)
    vectors[rarity == 0] = 0  # not the rounding errors that come of nothing
    return torch.from_numpy(vectors / max(float(vectors.std()), 1e-6))
