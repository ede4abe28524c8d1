"""Configurations: where they lie, what is allowed in them, and how they become objects."""

from __future__ import annotations

import difflib
import inspect
import os
import typing
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from omegaconf import DictConfig, OmegaConf
from pydantic import Field

from imtext.errors import ConfigError, ImtextError

_PACKAGE = Path(__file__).parents[1]
# Beside the package in a clone, inside it once installed.
CONFIG_DIR = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"

# What `_target_` may name. Configurations travel (in checkpoints, in bug reports), so they must not be able to call
# just anything. Add your own package with IMTEXT_TRUSTED_MODULES=mypackage,other.
TRUSTED = ("imtext.", "lightning.pytorch.", "torch.nn.", "torch.optim.")
SPECIAL = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}

# Keys that are plain values or groups of plain values; everything else is checked against the signature of its
# `_target_`.
TOP_LEVEL = {
    "train": {
        "data", "model", "loss", "optim", "stages", "trainer", "callbacks", "logger", "paths",
        "seed", "ckpt_path", "experiment_name", "run_name", "tags", "baseline", "bundle", "optimized_metric",
    },
    "evaluate": {"ckpt_path", "split", "seed", "data", "trainer", "paths"},
}  # fmt: skip
TYPES: dict[str, Any] = {
    "seed": Annotated[int, Field(ge=0, lt=2**32)],
    "baseline": bool,
    "bundle": bool,
    "experiment_name": str,
    "optimized_metric": str | None,
}
PATHS = {"root", "runs_dir", "cache_dir", "output_dir"}

OmegaConf.register_new_resolver("cwd", os.getcwd, replace=True)


def instantiate(config: Any, **extra: Any) -> Any:
    """Build what a configuration describes, after checking every `_target_` in it.

    Args:
        config: with a `_target_`.
        extra: further arguments, objects among them; they win over the configuration's.

    Raises:
        ConfigError: a `_target_` outside `TRUSTED`, or a constructor that refuses its values.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate as hydra_instantiate
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    for path, target in _targets(config):
        locate(target, path)
    try:
        # Objects go in by a call: passed through Hydra, they would be taken for configurations.
        return hydra_instantiate(config, _convert_="all", _partial_=True)(**extra)
    except InstantiationException as error:  # something inside, with Hydra's words around it
        cause = error.__cause__
        while cause is not None and not isinstance(cause, ImtextError) and cause.__cause__ is not None:
            cause = cause.__cause__
        raise (cause if isinstance(cause, ImtextError) else ConfigError(str(cause or error))) from error
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise ConfigError(f"{config['_target_']}: {error}") from error


def locate(target: str, path: str = "_target_") -> Any:
    """The class or function a `_target_` names.

    Raises:
        ConfigError: it is not trusted or does not exist.
    """
    extra = tuple(
        f"{name.strip()}." for name in os.environ.get("IMTEXT_TRUSTED_MODULES", "").split(",") if name.strip()
    )
    if not target.startswith(TRUSTED + extra):
        raise ConfigError(
            f"{path}: {target} is outside of {', '.join(name + '*' for name in TRUSTED + extra)}. "
            f"If it is yours, set IMTEXT_TRUSTED_MODULES={target.split('.')[0]}"
        )
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{path}: there is no {target} ({error})") from error
    # `imtext.config.schema.os.system` must not pass for something of ours.
    home = f"{getattr(found, '__module__', '')}."
    if not callable(found) or not home.startswith(TRUSTED + extra):
        raise ConfigError(f"{path}: {target} is not defined in {module.split('.')[0]}, so it cannot be used here")
    return found


def check_config(config: DictConfig, kind: str = "train") -> None:
    """Refuse keys that nothing reads and values of the wrong type, without building anything.

    Args:
        config: composed, not yet resolved.
        kind: which program it is for, a key of `TOP_LEVEL`.

    Raises:
        ConfigError: names the key, and the one that was probably meant.
    """
    raw: dict[str, Any] = OmegaConf.to_container(config, resolve=False)  # type: ignore[assignment]
    for key, value in raw.items():
        if value == "???":
            raise ConfigError(f"{key} is needed: give {key}=…")
    top_level = TOP_LEVEL[kind]
    _known(raw, top_level, "", flat_keys({key: value for key, value in raw.items() if key in top_level}))
    _known(raw.get("paths") or {}, PATHS, "paths")
    for key, hint in TYPES.items():
        if key in raw:
            _check_type(key, raw[key], hint)
    for group in ("callbacks", "logger", "stages"):
        node = raw.get(group)
        if not isinstance(node, dict) or "_target_" in node:
            continue
        for name, value in node.items():
            if value is not None and not (isinstance(value, dict) and "_target_" in value):
                others = [key for key, entry in node.items() if isinstance(entry, dict) and "_target_" in entry]
                raise ConfigError(f"{group}.{name} has no _target_, so it does nothing.{did_you_mean(name, others)}")
    for path, node in _target_nodes(raw):
        _check_call(path, node)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean …?`, or nothing when no known name is near."""
    known, last = list(known), name.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.7)
    # `batch_size` and `lr` are easier to remember than where they live.
    near += [key for key in known if key.rsplit(".", 1)[-1] == last and key not in near]
    if not near:
        near = [key for key in known if difflib.get_close_matches(last, [key.rsplit(".", 1)[-1]], cutoff=0.8)]
    return f" Did you mean {' or '.join(near[:3])}?" if near else ""


def can_be_added(raw: dict[Any, Any], key: str) -> bool:
    """Whether `+key=…` would work: its parent is open, or takes an argument of that name."""
    node: Any = raw
    *parents, last = key.split(".")
    for parent in parents:
        node = node.get(parent) if isinstance(node, dict) else None
    if not isinstance(node, dict) or not parents:
        return False
    return node == {} or ("_target_" in node and last in (_parameters(locate(node["_target_"])) or {}))


def flat_keys(raw: dict[Any, Any], prefix: str = "") -> list[str]:
    """All keys of nested dictionaries, with dots."""
    keys: list[str] = []
    for key, value in raw.items():
        keys.append(f"{prefix}{key}")
        if isinstance(value, dict):
            keys += flat_keys(value, f"{prefix}{key}.")
    return keys


def _known(node: dict[Any, Any], known: set[str], path: str, suggestions: Iterable[str] = ()) -> None:
    for key in node:
        if key not in known:
            full = f"{path}.{key}" if path else str(key)
            raise ConfigError(
                f"There is no setting called {full}.{did_you_mean(str(key), {*known, *suggestions} - {key})}"
            )


def _check_call(path: str, node: dict[str, Any]) -> None:
    """Check a node against the signature of its target."""
    found = locate(node["_target_"], f"{path}._target_")
    parameters = _parameters(found)
    for key, value in node.items():
        if key in SPECIAL:
            continue
        if parameters is not None and key not in parameters:
            raise ConfigError(
                f"There is no setting called {path}.{key}: {node['_target_']} takes "
                f"{', '.join(sorted(parameters))}.{did_you_mean(key, parameters)}"
            )
        if parameters is not None and node["_target_"].startswith("imtext."):
            _check_type(f"{path}.{key}", value, parameters[key])


def _parameters(found: Any) -> dict[str, Any] | None:
    """Names and types a callable takes; None when it takes anything."""
    hints: dict[str, Any] = {}
    # A subclass that hands `**common` on takes its parents' parameters too.
    for owner in found.__mro__ if inspect.isclass(found) else (found,):
        function = owner.__dict__.get("__init__") if inspect.isclass(owner) else owner
        if function is None:
            continue
        function = inspect.unwrap(function)
        parameters = list(inspect.signature(function).parameters.values())
        try:
            types = typing.get_type_hints(function)
        except (NameError, TypeError):
            types = {}
        for parameter in parameters[1:] if inspect.isclass(owner) else parameters:
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                hints.setdefault(parameter.name, types.get(parameter.name, Any))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return hints
    return None


def _check_type(path: str, value: Any, hint: Any) -> None:
    from pydantic import ConfigDict, TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError

    text = str(value)
    if "${" in text or text == "???" or isinstance(value, dict):
        return  # decided later, or checked by itself
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        return
    try:
        adapter.validate_python(value, strict=True)  # `no` must not pass for False and then be used as a string
    except ValidationError as error:
        raise ConfigError(f"{path}={value}: {error.errors()[0]['msg'].lower()}") from error


def _target_nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from _target_nodes(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _target_nodes(value, f"{path}[{index}]")


def _targets(config: Any) -> Iterator[tuple[str, str]]:
    raw = OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config
    for path, node in _target_nodes(raw):
        yield f"{path}._target_" if path else "_target_", str(node["_target_"])
