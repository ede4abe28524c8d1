"""The dual encoder: two towers and one joint space."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imtext.errors import ConfigError
from imtext.models.hubness import EXTRA, HubnessCorrection
from imtext.models.image_encoder import ImageEncoder
from imtext.models.text_encoder import TextEncoder
from imtext.models.tower import Tower, check_tower

MAX_LOGIT_SCALE = math.log(100)  # as in CLIP: a larger scale makes training unstable
ParameterGroup = Literal["image_encoder", "text_encoder", "projection"]


class DualEncoder(nn.Module):
    """Embeds pictures and captions into one space, where the dot product of two embeddings is their similarity.

    The architecture of CLIP (Radford et al., 2021): features of each tower, dropout, a linear projection, unit length.

    Args:
        image_encoder: maps ``[B, 3, H, W]`` to ``[B, num_features]``.
        text_encoder: maps tokens and mask ``[N, L]`` to ``[N, num_features]``.
        embed_dim: size of the joint space.
        dropout: on the features before each projection.
        temperature: divides similarities in the loss; the initial value if it is learnt.
        learn_temperature: learn it with the other parameters; it stays at 0.01 or above.
        mirror: in evaluation, embed each picture and its mirror image and take the mean. This doubles the work on
            pictures for slightly better results.
        hubness_bank: size of the banks that correct hubs, see `HubnessCorrection`; 0 corrects nothing. They are fitted
            after training, and only used in evaluation.

    Raises:
        ConfigError: a value is out of range, or a tower breaks the contract of `Tower`.
    """

    def __init__(
        self,
        image_encoder: ImageEncoder,
        text_encoder: TextEncoder,
        embed_dim: int = 256,
        dropout: float = 0.1,
        temperature: float = 0.07,
        learn_temperature: bool = True,
        mirror: bool = False,
        hubness_bank: int = 0,
    ) -> None:
        super().__init__()
        if not 0.01 <= temperature <= 10:
            raise ConfigError(f"model.temperature must be between 0.01 and 10, not {temperature}")
        if not 0 <= dropout < 1:
            raise ConfigError(f"model.dropout must be between 0 and 1, not {dropout}")
        if embed_dim < 1:
            raise ConfigError(f"model.embed_dim must be at least 1, not {embed_dim}")
        if hubness_bank < 0:
            raise ConfigError(f"model.hubness_bank must be 0 or more, not {hubness_bank}")
        self.projection_dim, self.mirror = embed_dim, mirror
        self.hubness = HubnessCorrection(hubness_bank, embed_dim) if hubness_bank else None
        self.image_encoder, self.text_encoder = image_encoder, text_encoder
        self.image_projection = _projection(image_encoder, embed_dim, dropout)
        self.text_projection = _projection(text_encoder, embed_dim, dropout)
        logit_scale = torch.tensor(math.log(1 / temperature))
        self.logit_scale: Tensor
        if learn_temperature:
            self.logit_scale = nn.Parameter(logit_scale)
        else:
            self.register_buffer("logit_scale", logit_scale)

    @property
    def embed_dim(self) -> int:
        """Size of the embeddings in evaluation."""
        return self.projection_dim + (EXTRA if self.hubness is not None and self.hubness.fitted else 0)

    def encode_image(
        self, image: Tensor, normalize: bool = True, first_block: int = 0, mirror_image: Tensor | None = None
    ) -> Tensor:
        """Embed pictures.

        Args:
            image: ``[B, 3, H, W]`` float32, preprocessed; with `first_block`, the output of the preceding blocks.
            normalize: scale the embeddings to unit length.
            first_block: the first block of the image tower that is applied.
            mirror_image: the same of the mirror images, which `mirror` needs in evaluation with `first_block`.

        Returns:
            ``[B, embed_dim]``, without a correction of hubs if not normalised.

        Raises:
            ValueError: `mirror` is used in evaluation with `first_block` above 0 and without `mirror_image`.
        """
        mirrored = self.mirror and not self.training
        if mirrored and mirror_image is None and first_block > 0:
            raise ValueError(
                f"mirror=True needs pictures in evaluation, not the output of the first {first_block} blocks: features "
                "have no mirror image"
            )
        embeddings: Tensor = self.image_projection(self.image_encoder(image, first_block))
        if mirrored:
            other = image.flip(-1) if mirror_image is None else mirror_image
            embeddings = self._add_mirror_image(embeddings, other, first_block)
        return self._finished_images(embeddings) if normalize else embeddings

    def encode_image_and_tokens(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Embed pictures for a search with a re-ranker; the image tower runs once for both results.

        Args:
            image: ``[B, 3, H, W]`` float32, preprocessed.

        Returns:
            ``[B, embed_dim]`` of unit length, as of `encode_image`, and ``[B, P, num_token_features]``, as of
            `ImageEncoder.tokens` for the pictures themselves, not for their mirror images.

        Raises:
            ConfigError: the image tower is a single block, or takes pictures of another size.
        """
        last = len(self.image_encoder.blocks) - 1
        lower = self.image_encoder.lower(image, last)
        tokens = self.image_encoder.tokens(lower, last)
        embeddings: Tensor = self.image_projection(self.image_encoder(lower, last))
        if self.mirror and not self.training:
            embeddings = self._add_mirror_image(embeddings, image.flip(-1))
        return self._finished_images(embeddings), tokens

    def _finished_images(self, embeddings: Tensor) -> Tensor:
        unit = F.normalize(embeddings, dim=-1)
        if self.hubness is None or self.training or not self.hubness.fitted:
            return unit
        return self.hubness.forward_images(unit)

    def _add_mirror_image(self, embeddings: Tensor, mirror_image: Tensor, first_block: int = 0) -> Tensor:
        flipped = self.image_projection(self.image_encoder(mirror_image, first_block))
        return F.normalize(embeddings, dim=-1) + F.normalize(flipped, dim=-1)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor, normalize: bool = True) -> Tensor:
        """Embed captions: ``[N, L]`` int64 and bool → ``[N, embed_dim]``, of unit length if `normalize`."""
        return self.encode_text_features(self.text_encoder(input_ids, attention_mask), normalize)

    def encode_text_features(self, features: Tensor, normalize: bool = True) -> Tensor:
        """Embed features of a frozen text tower: ``[N, num_features]`` → ``[N, embed_dim]``."""
        embeddings: Tensor = self.text_projection(features)
        if not normalize:
            return embeddings
        unit = F.normalize(embeddings, dim=-1)
        if self.hubness is None or self.training or not self.hubness.fitted:
            return unit
        return self.hubness.forward_texts(unit)

    def parameter_group(self, name: str) -> ParameterGroup:
        """The group of a parameter, given its name in `named_parameters`; each group has its own learning rate.

        Raises:
            ValueError: the parameter belongs to no group. A subclass that adds parameters overrides this method.
        """
        match name.split(".")[0]:
            case "image_encoder":
                return "image_encoder"
            case "text_encoder":
                return "text_encoder"
            case "image_projection" | "text_projection" | "logit_scale":
                return "projection"
        raise ValueError(f"The parameter {name} has no group: override {type(self).__name__}.parameter_group")

    def settings_without_files(self) -> dict[str, Any]:
        """Settings that rebuild a whole pretrained model without its files; see `Tower.settings_without_files`."""
        return {}

    @torch.no_grad()
    def clamp_logit_scale(self) -> None:
        """Keep ``exp(logit_scale)`` at 100 or below; called after every optimizer step."""
        self.logit_scale.clamp_(max=MAX_LOGIT_SCALE)

    @property
    def temperature(self) -> float:
        """The current value of ``1 / exp(logit_scale)``."""
        return math.exp(-float(self.logit_scale.detach()))


def _projection(encoder: Tower, embed_dim: int, dropout: float) -> nn.Module:
    check_tower(encoder)
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(encoder.num_features, embed_dim))
