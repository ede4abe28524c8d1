"""The triplet loss with the hardest negative of the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from imtext.errors import ConfigError
from imtext.losses.base import Loss
from imtext.losses.targets import Targets


class MaxViolation(Loss):
    """A hinge over the hardest negative of each pair (VSE++: Faghri et al., BMVC 2018, eq. 6).

    The mean over matching pairs i, n of ``[margin - s_in + max_j s_jn]₊ + [margin - s_in + max_m s_im]₊``, with images
    j that caption n does not describe, and captions m that do not describe image i. There is no temperature.

    Untrained embeddings are all similar, and their hardest negative says little. During the warm-up the mean over all
    negatives takes the place of the hardest one, with a share that falls linearly to zero. Evaluation always takes the
    hardest one, so that the validation loss of all epochs is the same measure.

    Args:
        margin: by how much a matching pair must be more similar than others; a cosine similarity.
        warm_up: share of training in which the mean blends into the hardest negative.

    Raises:
        ConfigError: a value is out of range.
    """

    uses_logit_scale = False

    def __init__(self, margin: float = 0.2, warm_up: float = 0.1) -> None:
        super().__init__()
        if not 0 < margin <= 2:
            raise ConfigError(f"loss.margin is a difference of cosine similarities, 0 < margin ≤ 2, not {margin}")
        if not 0 <= warm_up <= 1:
            raise ConfigError(f"loss.warm_up is a share of training, 0 ≤ warm_up ≤ 1, not {warm_up}")
        self.margin, self.warm_up = margin, warm_up
        self._hardest = 1.0  # share of the hardest negative; the rest is for the mean

    def advance(self, done: float) -> None:
        """Blend from the mean over all negatives to the hardest one."""
        self._hardest = min(1.0, done / self.warm_up) if self.warm_up > 0 else 1.0

    def forward(
        self, image_embeddings: Tensor, text_embeddings: Tensor, targets: Targets, logit_scale: Tensor
    ) -> dict[str, Tensor]:
        """Compute `max_violation_loss`; see `Loss.forward`."""
        with torch.autocast(image_embeddings.device.type, enabled=False):  # differences need single precision
            similarity = image_embeddings.float() @ text_embeddings.float().T  # [B, N]
        positive, pairs = targets.positive, targets.positive.nonzero()
        both = self._hinge(similarity.T, positive.T, pairs.flip(1)) + self._hinge(similarity, positive, pairs)
        return {"max_violation_loss": both.mean()}

    def _hinge(self, similarity: Tensor, positive: Tensor, pairs: Tensor) -> Tensor:
        """``[P]``: the violation of each pair ``[P, 2]`` by the negatives in its row; 0 if there are none."""
        rows = pairs[:, 0]
        negatives = similarity.masked_fill(positive, -torch.inf)
        wanted = similarity[rows, pairs[:, 1]] - self.margin
        hardest = (negatives.amax(dim=1)[rows] - wanted).clamp(min=0)
        share = self._hardest if self.training else 1.0
        if share == 1:
            return hardest
        mean = (negatives[rows] - wanted[:, None]).clamp(min=0).sum(dim=1) / (~positive).sum(dim=1)[rows].clamp(min=1)
        return torch.lerp(mean, hardest, share)
