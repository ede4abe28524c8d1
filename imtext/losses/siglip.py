"""The pairwise sigmoid loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imtext.errors import ConfigError
from imtext.losses.base import PairwiseLoss
from imtext.losses.targets import Targets


class SigLIP(PairwiseLoss):
    """Pairwise sigmoid loss (Zhai et al., ICCV 2023, eq. 1): every pair is a binary question of its own.

    The sum over all images of the batch, and the mean over captions, of ``-log sigmoid(± (scale · s_in + bias))``, with
    plus for pairs that match and minus for all others. A caption may match several images.

    Processes that train together never hold all pairs at once (section 3.3 of the paper), see `imtext.training.ring`.

    Args:
        batch_size: images per batch, of all processes; the initial bias follows from it.
        initial_bias: of every logit; it is learnt. Null takes the log-odds of a match, ``-log(batch_size - 1)``, so
            that training does not begin with learning that most pairs do not match.

    Raises:
        ConfigError: `batch_size` is below 2.
    """

    def __init__(self, batch_size: int, initial_bias: float | None = None) -> None:
        super().__init__()
        if batch_size < 2:
            raise ConfigError(f"loss.batch_size={batch_size} must be at least 2: a single image has no negatives")
        bias = -math.log(batch_size - 1) if initial_bias is None else float(initial_bias)
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(
        self, image_embeddings: Tensor, text_embeddings: Tensor, targets: Targets, logit_scale: Tensor
    ) -> dict[str, Tensor]:
        """Compute `siglip_loss`; see `Loss.forward`."""
        with torch.autocast(image_embeddings.device.type, enabled=False):  # logits need single precision
            similarity = image_embeddings.float() @ text_embeddings.float().T
        logits = logit_scale.exp() * similarity + self.bias  # [B, N]
        sign = targets.positive.float() * 2 - 1
        return {"siglip_loss": -F.logsigmoid(sign * logits).sum() / logits.shape[1]}

    def chance_at(self, share: Tensor, images: int) -> Tensor:
        """Of answering every question with the share of pairs that match; equal embeddings would measure the bias."""
        # The entropy of every pair, by hand: autocast refuses `binary_cross_entropy` on CUDA.
        entropy = -torch.xlogy(share, share) - torch.xlogy(1 - share, 1 - share)
        return entropy * images
