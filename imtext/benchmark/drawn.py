"""Made-up vectors that are as hard to tell apart as those of pictures."""

from __future__ import annotations

import numpy as np

from imtext.search.store.records import Vectors

TOP_K = 10


def drawn_like(vectors: Vectors, count: int, rng: np.random.Generator, block: int = 65_536) -> Vectors:
    """``[count, embed_dim]`` vectors of unit length with the mean and covariance of others."""
    mean = vectors.mean(axis=0)
    _, spread, axes = np.linalg.svd((vectors - mean) / np.sqrt(max(1, len(vectors) - 1)), full_matrices=False)
    drawn = np.empty((count, vectors.shape[1]), dtype=np.float32)
    for start in range(0, count, block):
        part = drawn[start : start + block]
        part[:] = mean + rng.standard_normal((len(part), len(spread)), dtype=np.float32) * spread @ axes
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return drawn
