"""MobileNetV3-Small as an image tower."""

from __future__ import annotations

from torch import nn
from torchvision.models import MobileNet_V3_Small_Weights, mobilenet_v3_small

from imtext.errors import ConfigError
from imtext.models.image_encoder import ImageEncoder
from imtext.models.weights import part_of, read_weights
from imtext.preprocess import Preprocess


class MobileNetV3Small(ImageEncoder):
    """MobileNetV3-Small without its classifier: 0.93 M parameters, 0.06 GMAC at 224 pixels.

    Howard et al., "Searching for MobileNetV3", ICCV 2019. The features are the output of the last convolution,
    averaged over the picture: 576 numbers.

    Args:
        weights: ``default`` downloads torchvision's ImageNet weights once; a path reads a state dict of the whole
            network or of its `.features`; None starts from random weights.
        train_batch_norm: see `ImageEncoder`.

    Raises:
        ConfigError: the weights cannot be found or downloaded, or belong to another network.
    """

    num_features = 576
    preprocess = Preprocess()  # 224 pixels, ImageNet's mean and standard deviation

    def __init__(self, weights: str | None = "default", train_batch_norm: bool = True) -> None:
        super().__init__(train_batch_norm)
        network = mobilenet_v3_small(weights=None)
        if weights is not None:
            state = part_of(read_weights(weights, MobileNet_V3_Small_Weights.DEFAULT), "features.")
            try:
                network.features.load_state_dict(state)
            except RuntimeError as error:
                raise ConfigError(
                    f"The weights in {weights} are not those of MobileNetV3-Small: {str(error).splitlines()[1].strip()}"
                ) from error
        self.features = network.features
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        if weights is None:
            # torchvision averages batch statistics over a hundred steps or more, which suits pretrained weights.
            # Random weights change faster than that, and evaluation would use statistics of earlier weights.
            for module in self.features.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = 0.1

    @property
    def blocks(self) -> list[nn.Module]:
        """13 blocks of convolutions, and the mean over the picture."""
        return [*self.features, self.pool]
