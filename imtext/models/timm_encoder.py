"""Any network of timm as an image tower."""

from __future__ import annotations

from typing import Any, get_args

from torch import nn

from imtext.errors import needs
from imtext.models.image_encoder import ImageEncoder
from imtext.preprocess import Interpolation, Preprocess


class TimmEncoder(ImageEncoder):
    """A network of timm (Wightman, "PyTorch Image Models", 2019) without its classifier.

    EfficientNet, MobileNetV3 and V4, ResNet, ConvNeXt and vision transformers (DINOv2 and v3, CLIP, SigLIP, EVA) are
    sequences of blocks. Networks of other families are a single block: they are trained or frozen as a whole.

    Args:
        name: of the network, such as `tf_efficientnet_lite0`, `vit_small_patch14_dinov2.lvd142m`, `convnext_tiny`.
        weights: ``default`` downloads the weights once; a path reads a state dict (.pth, .safetensors), with or
            without the classifier; None starts from random weights.
        train_batch_norm: see `ImageEncoder`.
        image_size: side of a picture in pixels; None for the size that the weights expect. Learnt positions of a
            vision transformer are interpolated.

    Raises:
        ConfigError: timm has no such network, the weights cannot be found or downloaded or belong to another network,
            or the network cannot take this size.
        MissingExtraError: timm is not installed.
    """

    def __init__(
        self,
        name: str = "tf_efficientnet_lite0",
        weights: str | None = "default",
        train_batch_norm: bool = True,
        image_size: int | None = None,
    ) -> None:
        super().__init__(train_batch_norm)
        # Imported here, so that the settings of this class can be read without timm.
        with needs("timm"):
            from imtext.models.timm_blocks import blocks_of
            from imtext.models.timm_networks import create_network, find_config
        config = find_config(name)
        method: Any = config.interpolation if config.interpolation in get_args(Interpolation) else "bicubic"
        self.preprocess = Preprocess(image_size or config.input_size[-1], config.mean, config.std, interpolation=method)
        network: Any = create_network(name, weights, image_size)
        self.network = network
        self.num_features = int(network.head_hidden_size)
        self.num_prefix_tokens = int(getattr(network, "num_prefix_tokens", 0))
        self.fixed_image_size = self.preprocess.image_size if config.fixed_input_size else None
        # A tuple, which is not registered: the state dict has the names of the network.
        self._blocks = blocks_of(network)

    @property
    def num_token_features(self) -> int:
        """Size of a token that `tokens` returns."""
        network: Any = self.network
        return int(network.num_features)

    @property
    def blocks(self) -> list[nn.Module]:
        """The stem, each residual block, and the pooling; a single block for families that are not known."""
        return list(self._blocks)

    def settings_without_files(self) -> dict[str, Any]:
        """The size of the weights, which may change with timm's default weights."""
        return {"image_size": self.preprocess.image_size}
