"""The spread of embeddings."""

from __future__ import annotations

from torch import Tensor


def spread(embeddings: Tensor) -> Tensor:
    """``1 - |mean|²`` of embeddings ``[N, D]`` of unit length: 0 if all are equal, near 1 if they are spread out."""
    return 1 - embeddings.mean(dim=0).square().sum()
