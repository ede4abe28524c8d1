"""What a loss compares its similarities with: the pairs that match, and the opinion of a teacher."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """Targets of B images and N captions.

    Attributes:
        positive: ``[B, N]`` bool, whether caption n describes image b: it is a caption of the image, or its text is
            that of one. Every caption describes at least one image.
        teacher: ``[B, N]`` float32, cosine similarities of a teacher; None without one.
    """

    positive: Tensor
    teacher: Tensor | None = None
