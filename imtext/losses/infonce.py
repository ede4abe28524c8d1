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
        label_smoothing: share of the probability that is spread evenly over the candidates, the positive and its
            negatives (Szegedy et al., 2016); for captions that are often wrong.
        hardness: weight negatives by ``exp(hardness · logit)``, relative to their mean (Robinson et al., 2021, without
            the correction for false negatives); no gradient flows through the weights. 0 weights all equally. Logits
            are divided by the temperature, so values of 0.1 to 0.5 already count.
    """

    def __init__(self, text_weight: float = 0.0, label_smoothing: float = 0.0, hardness: float = 0.0) -> None:
        super().__init__()
        if text_weight < 0:
            raise ConfigError(f"loss.text_weight must be zero or more, not {text_weight}")
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"loss.label_smoothing is a share, 0 ≤ label_smoothing < 1, not {label_smoothing}")
        if hardness < 0:
            raise ConfigError(f"loss.hardness must be zero or more, not {hardness}")
        self.text_weight, self.label_smoothing, self.hardness = text_weight, label_smoothing, hardness

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
            self._contrast(logits.T, positive.T, pairs.flip(1)),
            self._contrast(logits, positive, pairs),
        )
        terms = {"infonce_loss": (text_to_image + image_to_text) / 2}
        if self.text_weight > 0:
            same = positive.T.float() @ positive.float() > 0
            siblings = (same & ~torch.eye(len(texts), dtype=torch.bool, device=texts.device)).nonzero()
            terms["text_loss"] = self.text_weight * self._contrast(logit_scale.exp() * texts @ texts.T, same, siblings)
        return terms

    def _contrast(self, logits: Tensor, positive: Tensor, pairs: Tensor) -> Tensor:
        """Mean cross-entropy of the pairs ``[P, 2]``, each against the negatives in its row; 0 without pairs."""
        rows, count = pairs[:, 0], (~positive).sum(dim=1)
        negatives = logits.masked_fill(positive, -torch.inf)
        if self.hardness > 0:
            negatives = negatives + _log_weights(negatives, count, self.hardness)
        positives = logits[rows, pairs[:, 1]]
        # The logit whose probability should be one: that of the positive, mixed with the mean of all candidates.
        wanted = positives
        if self.label_smoothing > 0:
            mean = (positives + logits.masked_fill(positive, 0).sum(dim=1)[rows]) / (count[rows] + 1)
            wanted = torch.lerp(positives, mean, self.label_smoothing)
        return (torch.logaddexp(positives, negatives.logsumexp(dim=1)[rows]) - wanted).sum() / max(len(pairs), 1)


@torch.no_grad()
def _log_weights(negatives: Tensor, count: Tensor, hardness: float) -> Tensor:
    """The logarithm of ``exp(hardness · logit)`` over its mean; 0 where there is no negative.

    Args:
        negatives: ``[R, C]``, logits, minus infinity in place of positives.
        count: ``[R]``, number of negatives in each row.
        hardness: above 0.
    """
    log_shares = (hardness * negatives).log_softmax(dim=1)  # undefined in rows without negatives
    return (log_shares + count[:, None].log()).masked_fill(negatives.isinf(), 0)
