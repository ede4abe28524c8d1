"""Check a node of a configuration against a model. Messages name the setting, the problem and the fix."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from imtext.config.instantiate import target_nodes
from imtext.config.signatures import SPECIAL, Settings, names_of
from imtext.config.suggestions import did_you_mean, flat_keys

# JSON's words → YAML's.
WORDS = {
    "Input should be a valid array": "Input should be a list",
    "Input should be an object": "Input should be a group of settings",
    "Input should be a valid dictionary": "Input should be a group of settings",
}


def problems(model: type[Settings], node: dict[str, Any], prefix: str, raw: dict[str, Any]) -> Iterator[str]:
    """Messages for everything in a node that a model does not accept.

    Interpolations and nested nodes with a `_target_` are not checked.

    Args:
        model: the model of the node's settings.
        node: unresolved, in plain values.
        prefix: path of the node; empty for the top level.
        raw: the whole configuration; suggestions are chosen from it.
    """
    for key in sorted(model.supplied & node.keys()):
        yield f"{prefix}.{key} follows from the data; it is not a setting"
    for path, errors in _errors(model, node):
        full = f"{prefix}.{'.'.join(path)}".lstrip(".")
        kinds = {error["type"] for error in errors}
        if "extra_forbidden" in kinds:
            takes = sorted(names_of(model)) if "_target_" in node else []
            known = [key for key in flat_keys(raw) if key != full and not key.startswith(f"{full}.")]
            near = did_you_mean(path[-1], takes) or did_you_mean(path[-1] if takes else full, known + names_of(model))
            yield f"There is no setting called {full}{_takes(node, takes)}.{near}"
        elif "no_target" in kinds:
            siblings = value_at(node, path[:-1])
            named = [key for key, value in siblings.items() if isinstance(value, dict) and "_target_" in value]
            yield f"{full} has no _target_, so it does nothing.{did_you_mean(path[-1], named)}"
        elif "missing" in kinds:
            yield f"{full} is needed: give {full}=…"
        else:
            yield f"{full}={_shown(value_at(node, path))}: {_expected(errors)}"


def value_at(node: Any, path: Iterable[str]) -> Any:
    """The value at a path in nested dictionaries; None where there is none."""
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _errors(model: type[Settings], node: dict[str, Any]) -> Iterator[tuple[list[str], list[ErrorDetails]]]:
    """Errors by the path of the setting; a path has several if no member of a union fits."""
    settings = {key: value for key, value in node.items() if key not in SPECIAL | model.supplied}
    try:
        # Validated as JSON, which has the types of YAML: a list may become a tuple, but `no` never becomes a bool.
        model.model_validate_json(json.dumps(_checkable(settings), default=str))
    except ValidationError as error:
        found: dict[tuple[str, ...], list[ErrorDetails]] = {}
        for detail in error.errors():
            path = _path_in(node, detail)
            if detail["type"] != "missing" or (value_at(node, path) is None and "_args_" not in node):
                found.setdefault(path, []).append(detail)
        yield from ((list(path), errors) for path, errors in found.items())


def _checkable(node: dict[str, Any]) -> dict[str, Any]:
    """The node without interpolations, `???` and nested nodes that have a `_target_`."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, dict):
            if "_target_" not in value:
                found[key] = _checkable(value)
        elif value != "???" and "${" not in str(value) and next(target_nodes(value), None) is None:
            found[key] = value
    return found


def _path_in(node: Any, error: ErrorDetails) -> tuple[str, ...]:
    """The path of the setting that an error refers to, without union members and list positions."""
    path: list[str] = []
    for part in error["loc"]:
        if not isinstance(node, dict) or (part not in node and error["type"] != "missing"):
            break
        path.append(str(part))
        node = node.get(part)
    return tuple(path)


def _takes(node: dict[str, Any], takes: list[str]) -> str:
    return f": {node['_target_']} takes {', '.join(takes)}" if takes else ""


def _shown(value: Any) -> str:
    """A value as it is written in YAML."""
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _expected(errors: list[ErrorDetails]) -> str:
    """`input should be a valid integer or 'auto'`."""
    if any(error["type"] == "needs_python_object" for error in errors):
        return "it takes a group with a _target_"
    texts = dict.fromkeys(WORDS.get(error["msg"], error["msg"]) for error in errors)
    first, *others = (text[:1].lower() + text[1:] for text in texts)
    return " or ".join([first, *(text.removeprefix("input should be ") for text in others)])
