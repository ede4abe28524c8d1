"""A second loss, with its own parameter."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imtext.losses import Loss, Targets


class SigmoidLoss(Loss):
    """A binary decision about every pair of image and caption (SigLIP: Zhai et al., ICCV 2023, eq. 1)."""

    def __init__(self, bias: float = -10.0) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def forward(
        self, image_embeddings: Tensor, text_embeddings: Tensor, targets: Targets, logit_scale: Tensor
    ) -> dict[str, Tensor]:
        logits = logit_scale.exp() * image_embeddings @ text_embeddings.T + self.bias
        positive = targets.positive
        pairs = F.binary_cross_entropy_with_logits(logits, positive.float(), reduction="none") / len(positive)
        return {"matching": pairs[positive].sum(), "others": pairs[~positive].sum()}

    def chance(self, targets: Targets) -> Tensor:
        """The chance level: the share of matching pairs is the probability of each pair."""
        positive = targets.positive.float()
        guess = positive.mean().expand_as(positive)
        return F.binary_cross_entropy(guess, positive, reduction="sum") / len(positive)
