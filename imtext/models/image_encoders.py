"""Image towers: pictures ``[B, 3, H, W]`` → features ``[B, num_features]``."""

from __future__ import annotations

import hashlib
import logging
import pickle
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import MobileNet_V3_Small_Weights, mobilenet_v3_small

from imtext.errors import ConfigError

log = logging.getLogger(__name__)


class MobileNetV3Small(nn.Module):
    """MobileNetV3-Small without its classifier: 0.93 M parameters, 0.06 GMAC at 224 pixels.

    Howard et al., "Searching for MobileNetV3", ICCV 2019. The features are the last convolution's, averaged
    over the picture: 576 numbers.

    Args:
        weights: ``default`` downloads torchvision's ImageNet weights once; a path reads a state dict of
            either the whole network or its `.features`; None starts from random weights.

    Raises:
        ConfigError: the weights cannot be found, downloaded or do not fit.
    """

    num_features = 576

    def __init__(self, weights: str | None = "default") -> None:
        super().__init__()
        network = mobilenet_v3_small(weights=None)
        if weights is not None:
            state = _download() if weights == "default" else _read(Path(weights).expanduser())
            try:
                network.features.load_state_dict(state)
            except RuntimeError as error:
                raise ConfigError(
                    f"The weights in {weights} are not MobileNetV3-Small's: {str(error).splitlines()[1].strip()}"
                ) from error
        self.features = network.features
        if weights is None:
            # torchvision averages batch statistics over the last hundred steps or more, which suits trained weights.
            # From random ones they change faster than that: evaluation would see a network that no longer exists.
            for module in self.features.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = 0.1

    def forward(self, image: Tensor) -> Tensor:
        """``[B, 3, H, W]`` → ``[B, 576]``."""
        if image.device.type != "mps":  # where this layout has given wrong results; elsewhere it is faster
            image = image.contiguous(memory_format=torch.channels_last)
        maps: Tensor = self.features(image)
        return maps.mean(dim=(2, 3))


def _download() -> dict[str, Tensor]:
    try:
        state = MobileNet_V3_Small_Weights.DEFAULT.get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError) as error:
        file = MobileNet_V3_Small_Weights.DEFAULT.url.rsplit("/", 1)[-1]
        raise ConfigError(
            f"Cannot download the ImageNet weights ({error}). On a machine with a network, run\n"
            "  python -c 'from torchvision.models import *; mobilenet_v3_small(weights=\"DEFAULT\")'\n"
            f"and copy ~/.cache/torch/hub/checkpoints/{file} to the same place here, or give its path with\n"
            "  model.image_encoder.weights=<path>\n"
            "or start from random weights with model.image_encoder.weights=null."
        ) from error
    return _features(dict(state))


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ConfigError(
            f"There are no weights at {path.absolute()}. model.image_encoder.weights takes `default`, a path or null."
        )
    log.info("Image weights: %s (sha256 %s…)", path, hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        raise ConfigError(f"{path} is not a file of PyTorch weights: {str(error).splitlines()[0]}") from error
    return _features(state)


def _features(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The part of a state dict that belongs to `.features`, whether or not it is the whole network's."""
    prefix = "features."
    inner = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return inner or state
