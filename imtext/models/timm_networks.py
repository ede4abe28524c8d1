"""Networks of timm: found by name, with weights from the Hugging Face hub or a file."""

from __future__ import annotations

from typing import Any

from torch import nn

from imtext.config.suggestions import did_you_mean
from imtext.errors import ConfigError, needs
from imtext.models.image_encoder import average_batches_faster
from imtext.models.weights import first_difference, read_file

with needs("timm"):
    import timm
    from timm.models import PretrainedCfg, get_pretrained_cfg


def find_config(name: str) -> PretrainedCfg:
    """What timm knows of a network's weights: their source, input size, mean, standard deviation.

    Args:
        name: of the network, with or without a tag of the weights, such as `resnet50.a1_in1k`.

    Raises:
        ConfigError: timm has no such network or no such tag.
    """
    network, _, tag = name.partition(".")
    if "/" in name or ":" in name or not timm.is_model(network):
        raise ConfigError(
            f"model.image_encoder.name={name}: timm {timm.__version__} has no such network."
            f'{did_you_mean(network.rpartition("/")[-1], timm.list_models())} Search: python -c "import timm; '
            "print(timm.list_models('*vit*'))\""
        )
    try:
        return get_pretrained_cfg(name)
    except RuntimeError as error:
        known = ", ".join(timm.list_pretrained(f"{network}.*")) or "none"
        raise ConfigError(
            f"model.image_encoder.name={name}: timm knows no weights {tag} of {network}; known: {known}"
        ) from error


def create_network(name: str, weights: str | None, image_size: int | None) -> nn.Module:
    """Create a network without its classifier.

    Args:
        name: see `find_config`.
        weights: ``default`` downloads the weights once; a path reads a state dict. The entries of the classifier
            (`classifier` of timm's configuration) are dropped, all others must fit; positions of another grid are
            interpolated. None starts from random weights.
        image_size: side of a picture in pixels, for networks that take only one size; None for that of the weights.

    Raises:
        ConfigError: the weights cannot be found or downloaded or belong to another network, or the network cannot
            take this size.
    """
    config = find_config(name)
    options: dict[str, Any] = {"num_classes": 0}
    if image_size not in (None, config.input_size[-1]) and config.fixed_input_size:
        options["img_size"] = image_size
    if weights is None:
        network = _build(name, image_size, options)
        average_batches_faster(network)
        return network
    if weights == "default":
        return _download(name, config, image_size, options)
    state = read_file(weights)
    classifiers = (config.classifier,) if isinstance(config.classifier, str) else config.classifier or ()
    dropped = {f"{classifier}.{part}" for classifier in classifiers for part in ("weight", "bias")}
    # With the name of a classifier, timm would accept a state dict that does not fit.
    overlay = {"state_dict": {key: value for key, value in state.items() if key not in dropped}, "classifier": None}
    try:
        network = _build(name, image_size, {**options, "pretrained": True, "pretrained_cfg_overlay": overlay})
    except (RuntimeError, KeyError) as error:
        raise ConfigError(f"The weights in {weights} are not those of {name}: {first_difference(error)}") from error
    network.pretrained_cfg = network.default_cfg = config.to_dict()  # it held the weights  # type: ignore[assignment]
    return network


def _build(name: str, image_size: int | None, options: dict[str, Any]) -> nn.Module:
    try:
        network: nn.Module = timm.create_model(name, **options)
    except (TypeError, AssertionError) as error:
        if "img_size" not in options:
            raise
        raise ConfigError(
            f"model.image_encoder.image_size={image_size}: {name} cannot take this size ({error}). Another size may "
            "fit; null is the size that the weights expect."
        ) from error
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    side = max(patch) if isinstance(patch, tuple) else patch
    if image_size is not None and side and image_size % side:
        raise ConfigError(
            f"model.image_encoder.image_size={image_size}: {name} cuts pictures into patches of {side} pixels, so the "
            f"size must be a multiple, such as {max(1, round(image_size / side)) * side}"
        )
    return network


def _download(name: str, config: PretrainedCfg, image_size: int | None, options: dict[str, Any]) -> nn.Module:
    if not config.has_weights:
        known = ", ".join(timm.list_pretrained(f"{name.partition('.')[0]}*")[:5]) or "none"
        raise ConfigError(
            f"timm publishes no weights of {name}. Similar networks with weights: {known}. "
            "model.image_encoder.weights=null starts from random weights."
        )
    try:
        return _build(name, image_size, {**options, "pretrained": True})
    except (OSError, ValueError) as error:  # the hub's errors are some of these
        if config.hf_hub_id:
            file = config.hf_hub_filename or "model.safetensors"
            fetch = f"  hf download {config.hf_hub_id} {file} --local-dir weights"
        else:
            fetch = f"  curl -L -O {config.url}"
        raise ConfigError(
            f"Cannot download the weights of {name} from {config.hf_hub_id or config.url} "
            f"({str(error).splitlines()[0]}). On a machine with a network, run\n{fetch}\n"
            "Then copy the file to this machine and pass its path:\n"
            "  model.image_encoder.weights=<path>\n"
            "To train from random weights, pass model.image_encoder.weights=null."
        ) from error
