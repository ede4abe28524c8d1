"""The rank of the first correct item for every query, without a matrix of all scores."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 2**20  # scores computed at a time (4 MiB), whatever the number of queries and the size of the gallery


def retrieval_ranks(
    images: Tensor, texts: Tensor, image_id: Tensor, caption_image_id: Tensor, block: int = BLOCK
) -> dict[str, Tensor]:
    """Rank of the first correct item for every query.

    Ties count against the model. So do undefined scores (NaN): they never look like success.

    Args:
        images: ``[I, D]``, each image once.
        texts: ``[T, D]``.
        image_id: ``[I]``, all different.
        caption_image_id: ``[T]``, each also in `image_id`.
        block: number of scores to compute at a time; the result does not depend on it.

    Returns:
        `t2i` ``[T]`` and `i2t` ``[I]``, int64; 1 is the best rank.
    """
    return {
        "t2i": _ranks(texts, images, caption_image_id, image_id, block),
        "i2t": _ranks(images, texts, image_id, caption_image_id, block),
    }


def _ranks(queries: Tensor, gallery: Tensor, query_id: Tensor, gallery_id: Tensor, block: int) -> Tensor:
    """``[Q, D]`` and ``[G, D]`` → ``[Q]`` ranks; items with the query's id are correct."""
    # Filled in place: small results between large temporary arrays would keep the C library from reusing their memory.
    ranks = torch.empty(len(queries), dtype=torch.int64, device=queries.device)
    step = max(1, block // len(gallery))
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        score, correct = queries[rows] @ gallery.T, query_id[rows, None] == gallery_id[None, :]
        best = score.masked_fill(~correct, -torch.inf).amax(dim=1, keepdim=True)
        # "Not below" instead of "above or equal": NaN is never below, so it counts against the model.
        ahead = ~(score < best) & ~correct
        ranks[rows] = ahead.sum(dim=1) + 1
    return ranks
