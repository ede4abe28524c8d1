"""The targets of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from imtext.data.batch import Batch
from imtext.losses import Targets
from imtext.training.distributed import gather

IMAGE_IDS: tuple[Literal["image_id"], Literal["image_text_ids"]] = ("image_id", "image_text_ids")
CAPTION_IDS: tuple[Literal["caption_image_id"], Literal["caption_text_id"]] = ("caption_image_id", "caption_text_id")


def targets_of(batch: Batch, everywhere: bool = True) -> Targets:
    """Which captions describe which images, and what a teacher thinks of that.

    A caption describes its own image, and every image that has a caption of the same text: equal texts cannot be told
    apart, so they must not be negatives. This also holds if the other image's caption is not part of the batch.

    Args:
        batch: of this process.
        everywhere: for the images and captions of all processes, in the order of `gather`; otherwise for the batch of
            this process only.
    """
    collect = gather if everywhere else lambda tensor: tensor
    positive = matches(*(collect(batch[name]) for name in IMAGE_IDS), *(collect(batch[name]) for name in CAPTION_IDS))
    return Targets(positive, _similarities(batch, collect))


def matches(image_id: Tensor, image_text_ids: Tensor, caption_image_id: Tensor, caption_text_id: Tensor) -> Tensor:
    """``[B, N]`` bool, whether a caption describes an image; the arguments are those of `Batch`."""
    positive = image_id[:, None] == caption_image_id[None, :]
    for text in image_text_ids.unbind(1):  # one column at a time: no array of three dimensions
        positive = positive | (text[:, None] == caption_text_id[None, :])
    return positive


def _similarities(batch: Batch, collect: Callable[[Tensor], Tensor]) -> Tensor | None:
    """Those of the stored teacher, ``[B, N]``; None without one."""
    if "teacher_image" not in batch:
        return None
    images, texts = collect(batch["teacher_image"]), collect(batch["teacher_text"])
    with torch.autocast(images.device.type, enabled=False):  # a low temperature magnifies rounding errors
        return images.float() @ texts.float().T
