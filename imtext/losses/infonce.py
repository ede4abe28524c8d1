"""InfoNCE for several captions per image."""

from __future__ import annotations

import torch
from torch import Tensor

from imtext.errors import ConfigError
from imtext.losses.base import Loss
from imtext.losses.targets import Targets


class InfoNCE(Loss):
    """Symmetric cross-entropy with a temperature, in which captions that describe an image are never its negatives.

    Every caption must find its image among all images of the batch. Every image must find each of its captions among
    the captions of all *other* images. With one caption per image this is the loss of CLIP (van den Oord et al., 2018;
    Radford et al., 2021). With several, the positives of an image or a caption are left out of each other's
    denominator, as in the supervised contrastive loss (Khosla et al., 2020, eq. 2):

    - text to image: mean over matching pairs i, n of ``-log( exp(s_in) / (exp(s_in) + Σ_{j not of n} exp(s_jn)) )``;
    - image to text: mean over matching pairs i, n of ``-log( exp(s_in) / (exp(s_in) + Σ_{m not of i} exp(s_im)) )``;
    - text to text, with `text_weight`: every caption must find each of its siblings, which are captions that describe
      an image with it, among all others: mean over pairs of siblings n, m of
      ``-log( exp(s_nm) / (exp(s_nm) + Σ_{k no sibling of n} exp(s_nk)) )``.
      Several descriptions of one picture teach the text tower which words mean the same.

    Pairs match as `Targets.positive` says. Unless pictures share a caption, a caption matches one image.

    Larger batches have more negatives and make the task harder. Gradient accumulation does not add negatives.

    Args:
        text_weight: weight of the text-to-text term; the mean of the other two has weight 1.
    """

    def __init__(self, text_weight: float = 0.0) -> None:
        super().__init__()
        if text_weight < 0:
            raise ConfigError(f"loss.text_weight must be zero or more, not {text_weight}")
        self.text_weight = text_weight

    def forward(
        self, image_embeddings: Tensor, text_embeddings: Tensor, targets: Targets, logit_scale: Tensor
    ) -> dict[str, Tensor]:
        """Compute the terms; see `Loss.forward`.

        Returns:
            `infonce_loss`, the mean of both directions; with `text_weight`, also the weighted `text_loss`.
        """
        # Not in half precision, where logits near 100 have a rounding error of up to 0.4.
        with torch.autocast(image_embeddings.device.type, enabled=False):
            return self._float32(
                image_embeddings.float(), text_embeddings.float(), targets.positive, logit_scale.float()
            )

    def _float32(self, images: Tensor, texts: Tensor, positive: Tensor, logit_scale: Tensor) -> dict[str, Tensor]:
        logits = logit_scale.exp() * images @ texts.T  # [B, N]
        pairs = positive.nonzero()
        # Each pair against the negatives of its caption, and against those of its image.
        text_to_image, image_to_text = (
            _contrast(logits.T, positive.T, pairs.flip(1)),
            _contrast(logits, positive, pairs),
        )
        terms = {"infonce_loss": (text_to_image + image_to_text) / 2}
        if self.text_weight > 0:
            same = positive.T.float() @ positive.float() > 0
            siblings = (same & ~torch.eye(len(texts), dtype=torch.bool, device=texts.device)).nonzero()
            terms["text_loss"] = self.text_weight * _contrast(logit_scale.exp() * texts @ texts.T, same, siblings)
        return terms


def _contrast(logits: Tensor, positive: Tensor, pairs: Tensor) -> Tensor:
    """Mean cross-entropy of the pairs ``[P, 2]``, each against the negatives in its row; 0 without pairs."""
    negatives = logits.masked_fill(positive, -torch.inf).logsumexp(dim=1)
    positives = logits[pairs[:, 0], pairs[:, 1]]
    return (torch.logaddexp(positives, negatives[pairs[:, 0]]) - positives).sum() / max(len(pairs), 1)
