"""The batch that training and evaluation use."""

from __future__ import annotations

from typing import NamedTuple, NotRequired, TypedDict

from torch import Tensor


class Batch(TypedDict):
    """B distinct images and N ≥ B captions of them; one forward pass of an image serves all its captions."""

    image: Tensor  # [B, 3, H, W] float32, normalised; or features of the image tower's first blocks
    first_block: int  # the next block of the image tower: 0 for pictures
    input_ids: Tensor  # [N, L] int64
    attention_mask: Tensor  # [N, L] bool
    text_features: NotRequired[Tensor]  # [N, num_features] float32, cached features of a frozen text tower
    image_id: Tensor  # [B] int64
    caption_image_id: Tensor  # [N] int64, the image of each caption
    caption_text_id: Tensor  # [N] int64, equal for captions of equal text; -1 if no other picture has this text
    image_text_ids: Tensor  # [B, S] int64, the text ids of all captions of an image, not only those here; padded by -2
    teacher_image: NotRequired[Tensor]  # [B, Dt] float32 of unit length, a teacher's embeddings of the images
    teacher_text: NotRequired[Tensor]  # [N, Dt] float32 of unit length, and of the captions


class BatchKey(NamedTuple):
    """Names a batch. Key and seed fix every random choice in the batch, whichever worker builds it."""

    epoch: int
    positions: tuple[int, ...]  # in the split
