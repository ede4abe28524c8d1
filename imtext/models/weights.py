"""Read pretrained weights: those that torchvision publishes, and files."""

from __future__ import annotations

import hashlib
import logging
import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from imtext.errors import ConfigError

log = logging.getLogger(__name__)
CONTAINERS = ("state_dict", "model")  # entries under which training programs store the state dict


def read_weights(source: str, published: WeightsEnum) -> dict[str, Tensor]:
    """Read a state dict.

    Args:
        source: ``default`` for the published weights, which are downloaded once; otherwise a path.
        published: torchvision's entry for the network.

    Raises:
        ConfigError: the weights cannot be downloaded, found or read.
    """
    return _download(published) if source == "default" else read_file(source)


def read_file(source: str) -> dict[str, Tensor]:
    """Read a state dict from a file of PyTorch, or from a file whose name ends in `.safetensors`.

    The state dict may be the entry `state_dict` or `model` of a checkpoint. Nothing but tensors and plain values is
    unpickled.

    Args:
        source: a path; `~` is the home directory.

    Raises:
        ConfigError: there is no such file, or it contains no state dict.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"There are no weights at {path.absolute()}. model.image_encoder.weights takes `default`, a path or null."
        )
    log.info("Image weights: %s (sha256 %s…)", path, hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, SafetensorError) as error:
        raise ConfigError(f"{path} is not a file of PyTorch weights: {str(error).splitlines()[0]}") from error
    for name in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ConfigError(f"{path} contains no state dict: names and tensors, or an entry {' or '.join(CONTAINERS)}")
    return content


def load_weights(network: nn.Module, state: dict[str, Tensor], source: str, name: str) -> None:
    """Load a state dict, which must fit exactly.

    Args:
        network: takes the weights.
        state: the weights.
        source: where they come from, for the message.
        name: of the network, for the message.

    Raises:
        ConfigError: the state dict belongs to another network; the message names the first difference.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ConfigError(f"The weights in {source} are not those of {name}: {first_difference(error)}") from error


def first_difference(error: Exception) -> str:
    """The first difference that an error of `load_state_dict` lists: it can list hundreds."""
    line = next((line.strip() for line in str(error).splitlines()[1:] if line.strip()), str(error))
    return line.split(", ")[0].rstrip(". ") if line.startswith(("Missing", "Unexpected")) else line


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
