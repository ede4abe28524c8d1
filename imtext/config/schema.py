"""Configurations: where they lie, what is allowed in them, and how they become objects."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterable
from typing import Annotated, Any

from omegaconf import DictConfig, OmegaConf
from pydantic import Field

from imtext.config.instantiate import locate, target_nodes
from imtext.config.suggestions import did_you_mean, flat_keys
from imtext.errors import ConfigError

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
    for path, node in target_nodes(raw):
        _check_call(path, node)


def can_be_added(raw: dict[Any, Any], key: str) -> bool:
    """Whether `+key=…` would work: its parent is open, or takes an argument of that name."""
    node: Any = raw
    *parents, last = key.split(".")
    for parent in parents:
        node = node.get(parent) if isinstance(node, dict) else None
    if not isinstance(node, dict) or not parents:
        return False
    return node == {} or ("_target_" in node and last in (_parameters(locate(node["_target_"])) or {}))


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
