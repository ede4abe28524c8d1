"""MobileNetV3 as image towers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from torch import nn
from torchvision.models import (
    MobileNet_V3_Large_Weights,
    MobileNet_V3_Small_Weights,
    WeightsEnum,
    mobilenet_v3_large,
    mobilenet_v3_small,
)

from imtext.models.image_encoder import ImageEncoder, average_batches_faster
from imtext.models.weights import load_weights, part_of, read_weights
from imtext.preprocess import Preprocess


class MobileNetV3(ImageEncoder):
    """torchvision's MobileNetV3 without its classifier, in one of two sizes.

    Howard et al., "Searching for MobileNetV3", ICCV 2019. The features are the output of the last convolution, averaged
    over the picture.

    Args:
        weights: ``default`` downloads torchvision's ImageNet weights once; a path reads a state dict of the whole
            network or of its `.features`; None starts from random weights.
        train_batch_norm: see `ImageEncoder`.

    Raises:
        ConfigError: the weights cannot be found or downloaded, or belong to another network.
    """

    preprocess = Preprocess()  # 224 pixels, ImageNet's mean and standard deviation
    _name: ClassVar[str]
    _build: ClassVar[Callable[..., Any]]
    _published: ClassVar[WeightsEnum]

    def __init__(self, weights: str | None = "default", train_batch_norm: bool = True) -> None:
        super().__init__(train_batch_norm)
        network = type(self)._build(weights=None)
        if weights is not None:
            state = part_of(read_weights(weights, self._published), "features.")
            load_weights(network.features, state, weights, self._name)
        self.features = network.features
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        if weights is None:
            average_batches_faster(self.features)

    @property
    def blocks(self) -> list[nn.Module]:
        """The blocks of convolutions, and the mean over the picture."""
        return [*self.features, self.pool]


class MobileNetV3Small(MobileNetV3):
    """`MobileNetV3`: 0.93 M parameters, 0.06 GMAC at 224 pixels, 13 blocks of convolutions, 576 features."""

    num_features = 576
    _name = "MobileNetV3-Small"
    _build = mobilenet_v3_small
    _published = MobileNet_V3_Small_Weights.DEFAULT


class MobileNetV3Large(MobileNetV3):
    """`MobileNetV3`: 3.0 M parameters, 0.22 GMAC at 224 pixels, 17 blocks of convolutions, 960 features."""

    num_features = 960
    _name = "MobileNetV3-Large"
    _build = mobilenet_v3_large
    _published = MobileNet_V3_Large_Weights.DEFAULT
