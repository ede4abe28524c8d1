"""torchvision's Vision Transformer as an image tower."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights
from torchvision.models.vision_transformer import interpolate_embeddings

from imtext.errors import ConfigError
from imtext.models.image_encoder import ImageEncoder
from imtext.models.weights import load_weights, read_weights
from imtext.preprocess import Preprocess

Name = Literal["vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"]


class VisionTransformer(ImageEncoder):
    """torchvision's Vision Transformer without its classifier; `vit_b_16` has 86 M parameters.

    Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021. The features are the class token after the last
    norm: 768 numbers for `vit_b`, 1,024 for `vit_l`, 1,280 for `vit_h`.

    Args:
        name: of the network: size and side of a patch in pixels.
        weights: ``default`` downloads torchvision's ImageNet weights once; a path reads a state dict of the whole
            network, with or without the classifier (`heads`); None starts from random weights.
        image_size: side of a picture in pixels, a multiple of the patch size; None for the size that the weights
            expect. Learnt positions are interpolated.

    Raises:
        ConfigError: the weights cannot be found or downloaded, belong to another network, or the size does not fit.
    """

    num_prefix_tokens = 1

    def __init__(self, name: Name = "vit_b_16", weights: str | None = "default", image_size: int | None = None) -> None:
        super().__init__()
        published = get_model_weights(name).DEFAULT
        expected = published.transforms()
        size = image_size or expected.crop_size[0]
        method = expected.interpolation.value
        self.preprocess = Preprocess(size, expected.mean, expected.std, interpolation=method)
        patch = int(name.rpartition("_")[-1])
        if size % patch:
            raise ConfigError(
                f"model.image_encoder.image_size={size}: {name} cuts pictures into patches of {patch} pixels, so the "
                f"size must be a multiple, such as {max(1, round(size / patch)) * patch}"
            )
        network: Any = get_model(name, weights=None, image_size=size)
        network.heads = nn.Identity()
        if weights is not None:
            state = read_weights(weights, published)
            state = {key: value for key, value in state.items() if not key.startswith("heads.")}
            if "encoder.pos_embedding" in state:
                state = interpolate_embeddings(size, patch, state)
            load_weights(network, state, weights, name)
        self.network = network
        self.num_features = int(network.hidden_dim)
        self.fixed_image_size = size
        layers = list(network.encoder.layers)
        # A tuple, which is not registered: the state dict has the names of the network.
        self._blocks = (_Patches(network), *layers[:-1], nn.Sequential(layers[-1], network.encoder.ln), _ClassToken())

    @property
    def blocks(self) -> list[nn.Module]:
        """Patches with positions, each layer (the last one with the final norm), and the class token."""
        return list(self._blocks)


class _Patches(nn.Module):
    """Pictures ``[B, 3, H, W]`` → tokens ``[B, 1 + P, C]`` with positions, the class token first."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.conv_proj, self.class_token = network.conv_proj, network.class_token
        self.pos_embedding, self.dropout = network.encoder.pos_embedding, network.encoder.dropout
        self._network = (network,)  # a tuple, so that the network is no part of its own block

    def forward(self, image: Tensor) -> Tensor:
        network = self._network[0]  # whose parameters may be divided among processes, and collected for this pass
        patches = self.conv_proj(image).flatten(2).transpose(1, 2)
        tokens = torch.cat([network.class_token.expand(patches.shape[0], -1, -1), patches], dim=1)
        return self.dropout(tokens + network.encoder.pos_embedding)  # type: ignore[no-any-return]


class _ClassToken(nn.Module):
    """Tokens ``[B, 1 + P, C]`` → the class token ``[B, C]``."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, 0]
