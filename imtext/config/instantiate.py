"""From a configuration to objects, for trusted classes and functions only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from imtext.errors import ConfigError, ImtextError

# What `_target_` may name: classes that are defined in these packages. Checkpoints and bug reports contain
# configurations, so these must not be able to call arbitrary code. Functions are left out, and so are other parts of
# Lightning, because some of them import and call what their arguments name (`lightning.pytorch.cli`).
# IMTEXT_TRUSTED_MODULES=mypackage,other adds your own packages, with their functions.
NAMES = ("imtext.", "lightning.pytorch.", "optuna.pruners.", "optuna.samplers.", "torch.nn.", "torch.optim.")
HOMES = (
    *(f"imtext.{room}." for room in ("data", "losses", "models", "training")),
    *(f"lightning.pytorch.{part}." for part in ("callbacks", "loggers", "plugins", "profilers", "strategies")),
    "lightning.pytorch.trainer.trainer.",  # the home of `lightning.pytorch.Trainer`
    "optuna.pruners.",
    "optuna.samplers.",
    "torch.nn.",
    "torch.optim.",
)


def instantiate(config: Any, **extra: Any) -> Any:
    """Build the object that a configuration describes, after checking every `_target_` in it.

    Args:
        config: a configuration with a `_target_`.
        extra: additional arguments, which may be objects; they replace those of the configuration.

    Raises:
        ConfigError: a `_target_` that is not trusted, or a constructor that refuses its values.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate as hydra_instantiate
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    # Hydra resolves references such as `${oc.create:…}` also in plain dictionaries, so they are checked resolved.
    config = config if OmegaConf.is_config(config) else OmegaConf.create(config, flags={"allow_objects": True})
    try:
        raw = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error)) from error
    for path, node in target_nodes(raw):
        locate(str(node["_target_"]), f"{path}._target_".lstrip("."))
    try:
        # Objects are passed in a separate call, because Hydra would treat them as configurations.
        return hydra_instantiate(config, _convert_="all", _partial_=True)(**extra)
    except InstantiationException as error:  # Hydra wraps the error of a nested constructor
        cause = error.__cause__
        while cause is not None and not isinstance(cause, ImtextError) and cause.__cause__ is not None:
            cause = cause.__cause__
        raise (cause if isinstance(cause, ImtextError) else ConfigError(str(cause or error))) from error
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise ConfigError(f"{config['_target_']}: {error}") from error


def locate(target: str, path: str = "_target_") -> Any:
    """The class or function that a `_target_` names.

    Raises:
        ConfigError: the target is not trusted or does not exist.
    """
    extra = tuple(
        f"{name.strip()}." for name in os.environ.get("IMTEXT_TRUSTED_MODULES", "").split(",") if name.strip()
    )
    if not target.startswith(NAMES + extra):
        raise ConfigError(
            f"{path}: {target} is not in {', '.join(name + '*' for name in NAMES + extra)}. "
            f"If it is yours, set IMTEXT_TRUSTED_MODULES={target.split('.')[0]}"
        )
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{path}: there is no {target} ({error})") from error
    # `imtext.config.compose.os.system` is reachable through imtext, but not defined in it.
    home = f"{getattr(found, '__module__', '')}."
    if not (isinstance(found, type) and home.startswith(HOMES)) and not (callable(found) and home.startswith(extra)):
        raise ConfigError(f"{path}: {target} is not a class of the parts that can be used here: {', '.join(HOMES)}")
    return found


def target_nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every dictionary with a `_target_` in nested dictionaries and lists, with its path, such as `model.loss`."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from target_nodes(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from target_nodes(value, f"{path}[{index}]")
