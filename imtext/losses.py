"""Losses over a batch of distinct images and several captions of each."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class InfoNCE(nn.Module):
    """Temperature-scaled symmetric cross-entropy in which captions of one image are never negatives of it.

    In plain words: every caption must find its image among all images of the batch, and every image each of
    its captions among the captions of all *other* images. With one caption per image this is the loss of CLIP
    (van den Oord et al., 2018; Radford et al., 2021). With several, the sibling captions are left out of each
    other's denominator, as in the supervised contrastive loss (Khosla et al., 2020, eq. 2):

    - text to image: mean over captions n of ``-log( exp(s_in) / Σ_j exp(s_jn) )``, i the image of n;
    - image to text: mean over captions n of ``-log( exp(s_in) / (exp(s_in) + Σ_{m not of i} exp(s_im)) )``.

    Larger batches hold more negatives and make the task harder; gradient accumulation does not.
    """

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
            `infonce_loss`, the mean of both directions.
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
        positives = logits[pairs[:, 0], pairs[:, 1]]  # [P], one a pair
        negatives = logits.masked_fill(positive, -torch.inf)
        # Each pair against the negatives of its caption, and against those of its image.
        text_to_image = torch.logaddexp(positives, negatives.logsumexp(dim=0)[pairs[:, 1]]) - positives
        image_to_text = torch.logaddexp(positives, negatives.logsumexp(dim=1)[pairs[:, 0]]) - positives
        return {"infonce_loss": (text_to_image.mean() + image_to_text.mean()) / 2}


def chance_loss(image_id: Tensor, caption_image_id: Tensor) -> Tensor:
    """InfoNCE of a model that finds everything equally similar: the value a training must get below.

    With one caption per image it is ln B. The loss itself says it best: feed it equal embeddings.
    """
    same = torch.ones(1, 1, device=image_id.device)
    loss: dict[str, Tensor] = InfoNCE()(
        same.expand(len(image_id), 1),
        same.expand(len(caption_image_id), 1),
        image_id,
        caption_image_id,
        torch.zeros((), device=image_id.device),
    )
    return loss["infonce_loss"]


def spread(embeddings: Tensor) -> Tensor:
    """How far embeddings ``[N, D]`` of unit length lie apart: ``1 - |mean|²``, 0 when they are all the same."""
    return 1 - embeddings.mean(dim=0).square().sum()
