"""The two towers of a pretrained dual encoder, as blocks of the library that defines the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from imtext.models.image_encoder import ImageEncoder
from imtext.models.text_encoder import TextEncoder
from imtext.preprocess import Preprocess

Pool = Literal["last_token", "last_position", "first"]


class LayeredImageEncoder(ImageEncoder):
    """An image tower of a library.

    Args:
        layers: each takes the output of the one before; the first takes pictures, the last returns features.
        num_features: size of the features.
        preprocess: the input that the weights expect; pictures of other sizes are refused.
        num_token_features: size of a token before the last layer pools them.
        num_prefix_tokens: see `ImageEncoder`.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        num_features: int,
        preprocess: Preprocess,
        num_token_features: int | None = None,
        num_prefix_tokens: int = 0,
    ) -> None:
        super().__init__(train_batch_norm=False)
        self.layers = nn.ModuleList(layers)
        self.num_features, self.preprocess = num_features, preprocess
        self.fixed_image_size = preprocess.image_size
        self._num_token_features, self.num_prefix_tokens = num_token_features, num_prefix_tokens

    @property
    def num_token_features(self) -> int:
        """Size of a token before the last layer pools them."""
        return self._num_token_features or self.num_features

    @property
    def blocks(self) -> list[nn.Module]:
        """Patches and positions, every layer, then norm and pooling."""
        return list(self.layers)


class LayeredTextEncoder(TextEncoder):
    """A text tower of a library.

    Args:
        stem: ids ``[N, L]`` → ``[N, L, W]``.
        layers: each maps ``[N, L, W]`` and a mask ``[L, L]`` (True where a token may look; None for everywhere) to
            ``[N, L, W]``.
        norm: of the pooled token.
        num_features: W.
        causal: a token looks at itself and at the tokens before it. Padding comes last, so no token sees it.
        pool: ``last_token`` takes the last token that is no padding, ``last_position`` the last of the row, padding or
            not, ``first`` the first.
    """

    def __init__(
        self,
        stem: nn.Module,
        layers: Sequence[nn.Module],
        norm: nn.Module,
        num_features: int,
        causal: bool,
        pool: Pool,
    ) -> None:
        super().__init__()
        self.stem, self.layers, self.norm = stem, nn.ModuleList(layers), norm
        self.num_features, self.causal, self.pool = num_features, causal, pool
        self.num_pretrained = len(self.blocks)

    @property
    def blocks(self) -> list[nn.Module]:
        """Words and positions, every layer, then the norm."""
        return [self.stem, *self.layers, self.norm]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """``[N, L]`` ids and mask (True on real tokens) → ``[N, num_features]``."""
        hidden: Tensor = self.stem(input_ids)
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        visible = positions[:, None] >= positions[None, :] if self.causal else None
        for layer in self.layers:
            hidden = layer(hidden, visible)
        if self.pool == "last_token":
            texts = torch.arange(input_ids.shape[0], device=input_ids.device)
            pooled = hidden[texts, attention_mask.sum(dim=1) - 1]
        else:
            pooled = hidden[:, 0 if self.pool == "first" else -1]
        features: Tensor = self.norm(pooled)
        return features


class Words(nn.Module):
    """Embeddings of words and of their positions: ids ``[N, L]`` → ``[N, L, W]``.

    Args:
        words: embeddings of the words.
        positions: embeddings of the positions ``[max_length, W]``.
    """

    def __init__(self, words: nn.Embedding, positions: nn.Embedding) -> None:
        super().__init__()
        self.words, self.positions = words, positions

    def forward(self, input_ids: Tensor) -> Tensor:
        """Embed token ids."""
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        embedded: Tensor = self.words(input_ids) + self.positions(positions)
        return embedded


@dataclass
class Parts:
    """The parts of a pretrained dual encoder.

    Attributes:
        image_encoder, text_encoder: towers.
        image_projection, text_projection: the checkpoint's own, from features to the joint space.
        embed_dim: size of the joint space.
        logit_scale: scalar, the logarithm of one over the temperature.
    """

    image_encoder: LayeredImageEncoder
    text_encoder: LayeredTextEncoder
    image_projection: nn.Module
    text_projection: nn.Module
    embed_dim: int
    logit_scale: Tensor


def matrix(weight: Tensor) -> nn.Linear:
    """A projection ``x @ weight`` as a linear layer without bias."""
    linear = nn.Linear(weight.shape[0], weight.shape[1], bias=False)
    linear.weight = nn.Parameter(weight.detach().T.contiguous())
    return linear
