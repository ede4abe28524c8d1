"""Losses over a batch of distinct images and several captions of each."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from imtext.errors import ConfigError


class InfoNCE(nn.Module):
    """Temperature-scaled symmetric cross-entropy in which captions of one image are never negatives of it.

    In plain words: every caption must find its image among all images of the batch, and every image each of
    its captions among the captions of all *other* images. With one caption per image this is the loss of CLIP
    (van den Oord et al., 2018; Radford et al., 2021). With several, the sibling captions are left out of each
    other's denominator, as in the supervised contrastive loss (Khosla et al., 2020, eq. 2):

    - text to image: mean over captions n of ``-log( exp(s_in) / Σ_j exp(s_jn) )``, i the image of n;
    - image to text: mean over captions n of ``-log( exp(s_in) / (exp(s_in) + Σ_{m not of i} exp(s_im)) )``.

    - with `text_weight`, text to text as well: every caption must find each of its siblings among the captions of all
      other images, ``-log( exp(s_nm) / (exp(s_nm) + Σ_{k not of i} exp(s_nk)) )`` over pairs of siblings n, m. Five
      people describing one picture teach the text tower which words mean the same.

    Larger batches hold more negatives and make the task harder; gradient accumulation does not.

    Args:
        text_weight: of the text-to-text loss beside the other two's mean.
    """

    def __init__(self, text_weight: float = 0.0) -> None:
        super().__init__()
        if text_weight < 0:
            raise ConfigError(f"loss.text_weight must be zero or more, not {text_weight}")
        self.text_weight = text_weight

    def forward(
        self,
        image_embeddings: Tensor,
        text_embeddings: Tensor,
        image_id: Tensor,
        caption_image_id: Tensor,
        logit_scale: Tensor,
    ) -> dict[str, Tensor]:
        """Compute the loss.

        Args:
            image_embeddings: ``[B, D]`` of unit length.
            text_embeddings: ``[N, D]`` of unit length.
            image_id: ``[B]``.
            caption_image_id: ``[N]``, each also in `image_id`.
            logit_scale: scalar, log of one over the temperature.

        Returns:
            `infonce_loss`, the mean of both directions, and `text_loss`, if it has a weight, with that weight.
        """
        # In half precision logits up to 100 would be known to no better than 0.4.
        with torch.autocast(image_embeddings.device.type, enabled=False):
            return self._float32(
                image_embeddings.float(), text_embeddings.float(), image_id, caption_image_id, logit_scale.float()
            )

    def _float32(
        self, images: Tensor, texts: Tensor, image_id: Tensor, caption_image_id: Tensor, logit_scale: Tensor
    ) -> dict[str, Tensor]:
        logits = logit_scale.exp() * images @ texts.T  # [B, N]
        positive = image_id[:, None] == caption_image_id[None, :]
        pairs = positive.nonzero()
        # Each pair against the negatives of its caption, and against those of its image.
        text_to_image, image_to_text = (
            _contrast(logits.T, positive.T, pairs.flip(1)),
            _contrast(logits, positive, pairs),
        )
        terms = {"infonce_loss": (text_to_image + image_to_text) / 2}
        if self.text_weight > 0:
            same = caption_image_id[:, None] == caption_image_id[None, :]
            siblings = (same & ~torch.eye(len(texts), dtype=torch.bool, device=texts.device)).nonzero()
            terms["text_loss"] = self.text_weight * _contrast(logit_scale.exp() * texts @ texts.T, same, siblings)
        return terms


def _contrast(logits: Tensor, positive: Tensor, pairs: Tensor) -> Tensor:
    """Mean over pairs ``[P, 2]`` of the loss of each among those of its row that are not positive; 0 without pairs."""
    negatives = logits.masked_fill(positive, -torch.inf).logsumexp(dim=1)
    positives = logits[pairs[:, 0], pairs[:, 1]]
    return (torch.logaddexp(positives, negatives[pairs[:, 0]]) - positives).sum() / max(len(pairs), 1)


def chance_loss(loss: nn.Module, image_id: Tensor, caption_image_id: Tensor) -> Tensor:
    """The loss of a model that finds everything equally similar: the value a training must get below.

    For InfoNCE with one caption per image it is ln B. The loss itself says it best: feed it equal embeddings.
    """
    same = torch.ones(1, 1, device=image_id.device)
    terms: dict[str, Tensor] = loss(
        same.expand(len(image_id), 1),
        same.expand(len(caption_image_id), 1),
        image_id,
        caption_image_id,
        torch.zeros((), device=image_id.device),
    )
    return total_loss(terms)


def total_loss(terms: Mapping[str, Tensor]) -> Tensor:
    """What is minimised: the sum of all terms whose names end in `loss`."""
    return torch.stack([term for name, term in terms.items() if name.endswith("loss")]).sum()


def spread(embeddings: Tensor) -> Tensor:
    """How far embeddings ``[N, D]`` of unit length lie apart: ``1 - |mean|²``, 0 when they are all the same."""
    return 1 - embeddings.mean(dim=0).square().sum()
