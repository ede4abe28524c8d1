"""The rank of the first correct item for every query, without a matrix of all scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce

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

    def own_image(rows: slice) -> Tensor:
        return caption_image_id[rows, None] == image_id[None, :]

    def own_captions(rows: slice) -> Tensor:
        return image_id[rows, None] == caption_image_id[None, :]

    return {"t2i": _ranks(texts, images, own_image, block), "i2t": _ranks(images, texts, own_captions, block)}


def equal_text_ranks(
    ranks: dict[str, Tensor],
    images: Tensor,
    texts: Tensor,
    image_id: Tensor,
    caption_image_id: Tensor,
    caption_text_id: Tensor,
    block: int = BLOCK,
) -> dict[str, Tensor] | None:
    """Ranks that count equal captions as right.

    An image is correct for a caption if one of its captions has the same text. A caption is correct for an image if an
    equal one is among the captions of the image. Only queries whose text several images have are ranked again.

    Args:
        ranks: result of `retrieval_ranks`.
        images: ``[I, D]``.
        texts: ``[T, D]``, all captions of the images.
        image_id: ``[I]``, ascending.
        caption_image_id: ``[T]``, each also in `image_id`.
        caption_text_id: ``[T]``, equal for captions of equal text; -1 for texts of one image.
        block: number of scores to compute at a time.

    Returns:
        As `retrieval_ranks`; None if no two of these images have a caption of the same text.
    """
    column = torch.searchsorted(image_id.cpu(), caption_image_id.cpu()).to(images.device)
    of_images, shared = _shared_texts(caption_text_id, column, len(images))
    if not shared.any():
        return None
    captions, pictures = shared.nonzero().flatten(), of_images.ge(0).any(dim=1).nonzero().flatten()
    queries, wanted = caption_text_id[captions], of_images[pictures]

    def images_with_the_text(rows: slice) -> Tensor:
        return _any(of_images[None, :, each] == queries[rows, None] for each in range(of_images.shape[1]))

    def own_captions_and_equal_ones(rows: slice) -> Tensor:
        own = column[None, :] == pictures[rows, None]
        equal = (caption_text_id[None, :] == wanted[rows, each, None] for each in range(wanted.shape[1]))
        return own | _any(equal)

    found = {name: rank.clone() for name, rank in ranks.items()}
    found["t2i"][captions] = _ranks(texts[captions], images, images_with_the_text, block)
    found["i2t"][pictures] = _ranks(images[pictures], texts, own_captions_and_equal_ones, block)
    return found


def _shared_texts(caption_text_id: Tensor, column: Tensor, images: int) -> tuple[Tensor, Tensor]:
    """The texts that several of the images have.

    Args:
        caption_text_id: ``[T]``, -1 for none.
        column: ``[T]``, position of the image of each caption.
        images: number of images.

    Returns:
        The texts of each image, ``[I, S]``, padded by -2; and the mask ``[T]`` of the captions with such a text.
    """
    pairs = torch.unique(torch.stack([column, caption_text_id], dim=1).cpu()[caption_text_id.cpu() >= 0], dim=0)
    texts, count = torch.unique(pairs[:, 1], return_counts=True)
    pairs = pairs[torch.isin(pairs[:, 1], texts[count > 1])]
    number = torch.arange(len(pairs)) - torch.searchsorted(pairs[:, 0].contiguous(), pairs[:, 0].contiguous())
    of_images = torch.full((images, int(number.max()) + 1 if len(pairs) else 0), -2)
    of_images[pairs[:, 0], number] = pairs[:, 1]
    shared = torch.isin(caption_text_id.cpu(), texts[count > 1])
    return of_images.to(column.device), shared.to(column.device)


def _any(masks: Iterable[Tensor]) -> Tensor:
    return reduce(torch.logical_or, masks)


def _ranks(queries: Tensor, gallery: Tensor, correct_of: Callable[[slice], Tensor], block: int) -> Tensor:
    """``[Q, D]`` and ``[G, D]`` → ``[Q]`` ranks; `correct_of` some queries is a mask ``[q, G]`` of correct items."""
    # Filled in place: small results between large temporary arrays would keep the C library from reusing their memory.
    ranks = torch.empty(len(queries), dtype=torch.int64, device=queries.device)
    step = max(1, block // len(gallery))
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        score, correct = queries[rows] @ gallery.T, correct_of(rows)
        best = score.masked_fill(~correct, -torch.inf).amax(dim=1, keepdim=True)
        # "Not below" instead of "above or equal": NaN is never below, so it counts against the model.
        ahead = ~(score < best) & ~correct
        ranks[rows] = ahead.sum(dim=1) + 1
    return ranks
