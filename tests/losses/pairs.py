"""Targets and embeddings for the tests of losses."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from imtext.losses import Targets


def own(images: int, captions: int = 1) -> Targets:
    """Every image has captions of its own, as many as another one."""
    return Targets(torch.eye(images, dtype=torch.bool).repeat_interleave(captions, dim=1))


def belonging(image_id: Tensor, caption_image_id: Tensor) -> Targets:
    """Captions belong to the images of their ids."""
    return Targets(image_id[:, None] == caption_image_id[None, :])


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)
