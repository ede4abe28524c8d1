"""Read pretrained weights of torchvision's networks."""

from __future__ import annotations

import hashlib
import logging
import pickle
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor
from torchvision.models import WeightsEnum

from imtext.errors import ConfigError

log = logging.getLogger(__name__)


def read_weights(source: str, published: WeightsEnum) -> dict[str, Tensor]:
    """Read a state dict.

    Args:
        source: ``default`` for the published weights, which are downloaded once; otherwise a path.
        published: torchvision's entry for the network.

    Raises:
        ConfigError: the weights cannot be downloaded, found or read.
    """
    return _download(published) if source == "default" else _read(Path(source).expanduser())


def part_of(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries whose names begin with `prefix`, without it. If there are none, the whole state dict."""
    inner = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return inner or state


def _download(published: WeightsEnum) -> dict[str, Tensor]:
    try:
        return dict(published.get_state_dict(progress=True, check_hash=True))
    except (URLError, OSError) as error:
        raise ConfigError(
            f"Cannot download the ImageNet weights ({error}). On a machine with a network, download\n"
            f"  {published.url}\n"
            f"Then copy the file to ~/.cache/torch/hub/checkpoints/{published.url.rsplit('/', 1)[-1]} on this machine, "
            "or pass its path:\n"
            "  model.image_encoder.weights=<path>\n"
            "To train from random weights, pass model.image_encoder.weights=null."
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ConfigError(
            f"There are no weights at {path.absolute()}. model.image_encoder.weights takes `default`, a path or null."
        )
    log.info("Image weights: %s (sha256 %s…)", path, hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    try:
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        raise ConfigError(f"{path} is not a file of PyTorch weights: {str(error).splitlines()[0]}") from error
    return state
