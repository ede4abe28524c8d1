"""Pictures that the dual encoder confuses, and the captions that several pictures have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from imtext.evaluation.ranks import BLOCK
from imtext.preprocess.tokenizer import Tokenizer

NONE = -1  # a place without a neighbour


def nearest_pictures(
    images: Tensor, texts: Tensor, own: Tensor, same_text: Sequence[frozenset[int]], count: int, block: int = BLOCK
) -> Tensor:
    """The wrong pictures that the dual encoder likes for any caption of a picture.

    Args:
        images: ``[I, D]``.
        texts: ``[T, D]``.
        own: ``[T]``, position of each caption's picture, ascending.
        same_text: the pictures that have a caption of the same text, for each caption; they are not wrong.
        count: neighbours of a picture.
        block: number of scores to compute at a time; the result does not depend on it.

    Returns:
        ``[I, min(count, I - 1)]`` int64 on the CPU, positions of pictures, nearest first; `NONE` where a picture has
        fewer.
    """
    own = own.cpu()
    size, captions = min(count, len(images) - 1), torch.bincount(own, minlength=len(images))
    found = torch.full((len(images), size), NONE)
    step = max(1, block // (len(images) * max(1, int(captions.max()))))
    ends = captions.cumsum(0).tolist()
    for start in range(0, len(images), step):
        stop = min(start + step, len(images))
        rows = range(ends[start - 1] if start else 0, ends[stop - 1])
        scores = (texts[rows.start : rows.stop] @ images.T).nan_to_num(-torch.inf)  # undefined: no neighbour
        picture = (own[rows.start : rows.stop] - start).to(scores.device)
        nearest = torch.full((stop - start, len(images)), -torch.inf, device=scores.device)
        nearest.scatter_reduce_(0, picture[:, None].expand_as(scores), scores, "amax")
        each = torch.arange(start, stop, device=scores.device)
        nearest[each - start, each] = -torch.inf
        for row in rows:
            if len(same_text[row]) > 1:
                nearest[int(own[row]) - start, list(same_text[row])] = -torch.inf
        best, where = nearest.topk(size, dim=1)
        found[start:stop] = where.masked_fill(best.isneginf(), NONE).cpu()
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
    sets = {key: frozenset(found) for key, found in pictures.items()}  # one for each text, not for each caption
    return [sets[key] for key in keys]
