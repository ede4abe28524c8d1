"""Two towers, one space."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imtext.errors import ConfigError
from imtext.models.image_encoders import ImageEncoder

MAX_LOGIT_SCALE = math.log(100)  # as in CLIP: a larger scale makes training unstable


class DualEncoder(nn.Module):
    """Embeds pictures and captions into one space, where a dot product is their similarity.

    The architecture of CLIP (Radford et al., 2021): features of each tower, dropout, a linear projection,
    unit length.

    Args:
        image_encoder: maps ``[B, 3, H, W]`` to ``[B, num_features]``, in blocks.
        text_encoder: maps ``[N, L]`` tokens and mask to ``[N, num_features]``.
        embed_dim: size of the joint space.
        dropout: on the features before each projection.
        temperature: what similarities are divided by in the loss (its starting value when learnt).
        learn_temperature: learn it with the rest; it is kept at 0.01 or above.
        mirror: outside of training, embed a picture and its mirror image and take the mean: twice the work on
            pictures for a little better results.
    """

    def __init__(
        self,
        image_encoder: ImageEncoder,
        text_encoder: nn.Module,
        embed_dim: int = 256,
        dropout: float = 0.1,
        temperature: float = 0.07,
        learn_temperature: bool = True,
        mirror: bool = False,
    ) -> None:
        super().__init__()
        if not 0.01 <= temperature <= 10:
            raise ConfigError(f"model.temperature must be between 0.01 and 10, not {temperature}")
        if not 0 <= dropout < 1:
            raise ConfigError(f"model.dropout must be between 0 and 1, not {dropout}")
        if embed_dim < 1:
            raise ConfigError(f"model.embed_dim must be at least 1, not {embed_dim}")
        self.embed_dim, self.mirror = embed_dim, mirror
        self.image_encoder, self.text_encoder = image_encoder, text_encoder
        self.image_projection = _projection(image_encoder, embed_dim, dropout)
        self.text_projection = _projection(text_encoder, embed_dim, dropout)
        logit_scale = torch.tensor(math.log(1 / temperature))
        self.logit_scale: Tensor
        if learn_temperature:
            self.logit_scale = nn.Parameter(logit_scale)
        else:
            self.register_buffer("logit_scale", logit_scale)

    def encode_image(self, image: Tensor, normalize: bool = True, first_block: int = 0) -> Tensor:
        """``[B, 3, H, W]`` float32, normalised → ``[B, embed_dim]``, of unit length unless `normalize` is False.

        With `first_block` the image is what the image tower's blocks before that one made of it.
        """
        embeddings: Tensor = self.image_projection(self.image_encoder(image, first_block))
        if self.mirror and not self.training:
            mirrored = self.image_projection(self.image_encoder(image.flip(-1)))
            embeddings = F.normalize(embeddings, dim=-1) + F.normalize(mirrored, dim=-1)
        return F.normalize(embeddings, dim=-1) if normalize else embeddings

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor, normalize: bool = True) -> Tensor:
        """``[N, L]`` int64 and bool → ``[N, embed_dim]``, of unit length unless `normalize` is False."""
        embeddings: Tensor = self.text_projection(self.text_encoder(input_ids, attention_mask))
        return F.normalize(embeddings, dim=-1) if normalize else embeddings

    @torch.no_grad()
    def clamp_logit_scale(self) -> None:
        """Keep ``exp(logit_scale)`` at 100 or below; called after every optimizer step."""
        self.logit_scale.clamp_(max=MAX_LOGIT_SCALE)

    @property
    def temperature(self) -> float:
        """The present ``1 / exp(logit_scale)``."""
        return math.exp(-float(self.logit_scale))


def _projection(encoder: nn.Module, embed_dim: int, dropout: float) -> nn.Module:
    num_features = getattr(encoder, "num_features", None)
    if not isinstance(num_features, int):
        raise ConfigError(f"{type(encoder).__name__} must have an integer `num_features`, the size of its output")
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(num_features, embed_dim))
