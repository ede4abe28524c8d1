"""Wrong pictures that the dual encoder finds for a caption: the negatives of a re-ranker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from imtext.evaluation.ranks import BLOCK
from imtext.preprocess.tokenizer import Tokenizer

NONE = -1  # a place without a candidate


def mine_candidates(
    images: Tensor, texts: Tensor, own: Tensor, same_text: Sequence[frozenset[int]], count: int, block: int = BLOCK
) -> Tensor:
    """The wrong pictures nearest to each caption.

    Args:
        images: ``[I, D]``.
        texts: ``[T, D]``.
        own: ``[T]``, position of each caption's picture.
        same_text: the pictures that have a caption of the same text, for each caption; they are never wrong.
        count: pictures of a caption.
        block: number of scores to compute at a time; the result does not depend on it.

    Returns:
        ``[T, min(count, I - 1)]`` int64 on the CPU, positions of pictures, nearest first; `NONE` where a caption has
        fewer wrong pictures.
    """
    size = min(count, len(images) - 1)
    found = torch.empty(len(texts), size, dtype=torch.int64)
    step = max(1, block // len(images))
    for start in range(0, len(texts), step):
        rows = range(start, min(start + step, len(texts)))
        scores = texts[rows.start : rows.stop] @ images.T
        # Undefined scores are no candidates either.
        scores.masked_fill_(scores.isnan(), -torch.inf)
        owners = [(row - start, picture) for row in rows for picture in same_text[row] | {int(own[row])}]
        at, picture = torch.tensor(owners, device=scores.device).T
        scores[at, picture] = -torch.inf
        best, where = scores.topk(size, dim=1)
        found[rows.start : rows.stop] = where.masked_fill(best.isneginf(), NONE).cpu()
    return found


def pictures_of_texts(captions: Sequence[str], own: Tensor, tokenizer: Tokenizer) -> list[frozenset[int]]:
    """The pictures that have a caption of the same tokens, for each of T captions.

    Tokens, not characters: the model cannot tell captions of equal tokens apart.

    Args:
        captions: T texts.
        own: ``[T]``, picture of each caption.
        tokenizer: the model's tokenizer.
    """
    ids, mask = tokenizer(captions)
    keys = [tuple(row[real].tolist()) for row, real in zip(ids, mask, strict=True)]
    pictures: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
    for key, picture in zip(keys, own.tolist(), strict=True):
        pictures[key].add(picture)
    return [frozenset(pictures[key]) for key in keys]
