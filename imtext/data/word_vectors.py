"""Initial word vectors, learnt from the training captions alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor


def latent_semantics(documents: Iterable[Iterable[int]], vocab_size: int, dim: int) -> Tensor:
    """Word vectors in which words that describe the same pictures are close.

    Latent semantic analysis (Deerwester et al., 1990): how often each word occurs in the captions of each image, damped
    by a logarithm and weighted by rarity (tf-idf), reduced to the strongest directions.

    Args:
        documents: token ids of all captions of an image, for each **training** image.
        vocab_size: number of words.
        dim: size of a vector.

    Returns:
        ``[vocab_size, dim]`` float32 with a standard deviation of 1. Words that occur in no image or in every image get
        zeros, and so do the last dimensions if there are fewer words or images than `dim`.
    """
    # Imported here because the import takes a second, and runs with random word vectors do not need it.
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.utils.extmath import randomized_svd

    counts = CountVectorizer(analyzer=list, vocabulary=range(vocab_size)).transform(documents)
    images = counts.getnnz(axis=0)  # [vocab_size], number of images whose captions have a word
    rarity = np.where(images > 0, np.log(counts.shape[0] / np.maximum(images, 1)), 0)
    rank = min(dim, *counts.shape)
    # TfidfTransformer adds 1 to both factors, so common words would keep a weight. TruncatedSVD chooses other signs and
    # another number of iterations. Neither would give the same vectors.
    _, strengths, directions = randomized_svd(counts.log1p().multiply(rarity).tocsr(), rank, random_state=0)
    vectors = np.zeros((vocab_size, dim), dtype=np.float32)
    vectors[:, :rank] = directions.T * np.sqrt(strengths)
    vectors[rarity == 0] = 0  # instead of rounding errors
    return torch.from_numpy(vectors / max(float(vectors.std()), 1e-6))
