"""The configuration reference in Markdown, generated from the schema: ``python -m imtext.config.reference [file]``.

Types, defaults and descriptions come from the models of the programs, from the signature and docstring of the class
that each `_target_` names, and from the comments in `conf/`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from omegaconf import OmegaConf
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from imtext.config.compose import compose_config, groups
from imtext.config.instantiate import locate, target_nodes
from imtext.config.paths import CONFIG_DIR
from imtext.config.schema import PROGRAMS, TrainSettings
from imtext.config.signatures import LIBRARIES, SPECIAL, Settings, settings_of
from imtext.config.suggestions import flat_keys
from imtext.config.validation import value_at
from imtext.errors import ConfigError

INTRODUCTION = """# Configuration reference

Every setting of `python -m imtext.train`, `imtext.evaluate`, `imtext.interpolate`, `imtext.embed` and `imtext.rerank`.
A setting is changed with `name=value`, a group of settings is chosen with `group=option`. A setting that is accepted
but not listed in `--cfg job` is added with `+name=value`. `${…}` refers to another setting, `null` means no value.
"""
TYPES = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path", type(None): "null", Any: ""}
COLUMNS = ("Setting", "Type", "Default", "Description")


def reference() -> str:
    """The whole reference; the same text for the same package."""
    parts = [INTRODUCTION]
    for program, model in PROGRAMS.items():
        path = CONFIG_DIR / f"{program}.yaml"
        raw = _load(path)
        chosen = {key: option for each in raw.pop("defaults") if isinstance(each, dict) for key, option in each.items()}
        options = {key: option for key, option in chosen.items() if key in groups()}
        rows = _rows(model, raw | options, "", comments_of(path))
        parts += [f"## `python -m imtext.{program}`\n", _table(rows)]
    for group in groups():
        parts.append(f"## `{group}`\n")
        for path in sorted((CONFIG_DIR / group).glob("*.yaml")):
            parts += [f"### `{group}={path.stem}`\n", *_option(group, path)]
    return "\n".join(parts)


def comments_of(path: Path, prefix: str = "") -> dict[str, str]:
    """The comment beside each setting of a file, by dotted path."""
    found: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not (entry := re.match(r"( *(?:- )?)([\w./]+):(.*?)(?:\s+#\s+(.*))?$", line)):
            continue
        indent, key, _, comment = entry.groups()
        parents = [each for each in parents if each[0] < len(indent)]
        name = ".".join([*([prefix] if prefix else []), *(each[1] for each in parents), key])
        parents.append((len(indent), key))
        if comment:
            found[name] = comment.strip()
    return found


def type_name(hint: Any) -> str:
    """A type in the words of YAML, such as `integer or null` or `list of number`."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return type_name(args[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in args)
    if origin in (Union, UnionType):
        return " or ".join(name for name in dict.fromkeys(map(type_name, args)) if name)
    if hint in TYPES:
        return TYPES[hint]
    name = str(getattr(origin or hint, "__name__", ""))
    if name in ("Sequence", "list", "tuple"):
        of = " and ".join(dict.fromkeys(type_name(each) for each in args if each is not ...))
        return f"list of {of}" if of else "list"
    if isinstance(hint, type) and issubclass(hint, Settings):
        return "group"
    return "group" if name in ("dict", "Mapping") else f"`{name}`" if name else ""


def _option(group: str, path: Path) -> Iterator[str]:
    """The paragraphs and tables of one option."""
    if about := _head(path):
        yield f"{about}\n"
    if "@package _global_" in path.read_text(encoding="utf-8"):
        yield _table(_changes(path), ("Setting", "Value", "Comment"))
        return
    name = group.replace("/", ".")
    comments, node, parent = comments_of(path, name), _composed(group, path), {}
    for entry in _load(path).get("defaults") or []:
        if isinstance(entry, str) and path.with_name(f"{entry}.yaml").is_file():
            parent = _composed(group, path.with_name(f"{entry}.yaml"))
            yield f"All settings of `{group}={entry}`, and:\n"
    if "_target_" not in node and (plain := [key for key, value in node.items() if not isinstance(value, dict)]):
        rows = _rows(_model_of(group, plain), {key: node[key] for key in plain}, name, comments)
        yield _table([row for row in rows if row[0].rpartition(".")[2] in plain])
    others = set(groups()) - {group}
    for at, inner in target_nodes(node, name):
        if at.replace(".", "/") not in others:
            known = value_at(parent, at.removeprefix(name).split(".")[1:]) or {}
            if inner != known:
                yield from _object(inner, at, comments, known)


def _model_of(group: str, keys: list[str]) -> type[Settings]:
    """The model of settings without a `_target_`: the group's model, or the model of an option that extends them."""
    field = TrainSettings.model_fields.get(group)
    for hint in (field.annotation, *get_args(field.annotation)) if field is not None else ():
        if isinstance(hint, type) and issubclass(hint, Settings):
            return hint
    for path in sorted((CONFIG_DIR / group).glob("*.yaml")):
        node = _composed(group, path)
        if "_target_" in node and node.keys() >= set(keys):
            return settings_of(locate(node["_target_"]))
    return Settings


def _object(node: dict[str, Any], path: str, comments: dict[str, str], parent: dict[str, Any]) -> Iterator[str]:
    """The object at a path, and the table of its settings without those that are the same in the parent option."""
    target = str(node["_target_"])
    found = locate(target)
    about = "" if target.startswith(LIBRARIES) else (found.__doc__ or "").strip().split("\n\n")[0]
    yield f"`{path}` is `{target}`. {' '.join(about.split())}".strip() + "\n"
    model = settings_of(found)
    same = {f"{path}.{key}" for key, value in parent.items() if key in node and node[key] == value}
    rows = [row for row in _rows(model, node, path, comments) if row[0] not in same]
    listed = {row[0] for row in rows if row[3] or row[0].rpartition(".")[2] in node}
    if listed:
        yield _table([row for row in rows if row[0] in listed])
    if not parent and (further := [f"`{row[0].rpartition('.')[2]}`" for row in rows if row[0] not in listed]):
        yield f"It also accepts {', '.join(further)}.\n"


def _rows(
    model: type[Settings], node: dict[str, Any], prefix: str, comments: dict[str, str]
) -> list[tuple[str, str, str, str]]:
    """Name, type, default and description of each setting of a node, without nested objects."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    rows = []
    for key in dict.fromkeys([*fields, *node]):
        value = node.get(key)
        if key in SPECIAL or key == "hydra" or (isinstance(value, dict) and "_target_" in value):
            continue
        field = fields.get(key, FieldInfo(annotation=Any))
        name = f"{prefix}.{key}".lstrip(".")
        default = _default(value if key in node else field.get_default(call_default_factory=True))
        comment = comments.get(name) or comments.get(f"defaults.{name}", "")
        described = _sentence(field.description or "")
        repeated = comment.lower() in described.lower()
        shown = [described, "" if repeated else f"*{comment}*"]
        about = shown[0] or shown[1] if not prefix else "<br>".join(text for text in shown if text)
        kind = "group" if not prefix and key in groups() else type_name(field.annotation)
        rows.append((name, kind, default, about))
    return rows


def _changes(path: Path) -> list[tuple[str, str, str]]:
    """Name, value and comment of each setting in an experiment or another file of the global package."""
    raw, rows, comments = _load(path), [], comments_of(path)
    for each in raw.pop("defaults", None) or []:
        for group, option in each.items() if isinstance(each, dict) else [("", each)]:
            name = str(group).removeprefix("override ").lstrip("/") or path.parent.name
            rows.append((name, _default(option), ""))
    for key in flat_keys(raw):
        value = value_at(raw, key.split("."))
        if not isinstance(value, dict) and not key.startswith("hydra."):
            rows.append((key, _default(value), comments.get(key, "")))
    for key, value in (value_at(raw, ["hydra", "sweeper", "params"]) or {}).items():
        rows.append((key, _default(value), ""))
    return rows


def _load(path: Path) -> dict[str, Any]:
    raw: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    return dict(raw)


@cache
def _composed(group: str, path: Path) -> dict[str, Any]:
    """The group's settings, unresolved, with this option chosen."""
    for program, overrides in (("train", []), ("evaluate", ["ckpt_path=best"])):
        try:
            config = compose_config(program, [*overrides, f"{group}={path.stem}"])
        except ConfigError:
            continue
        node = value_at(OmegaConf.to_container(config, resolve=False), group.split("/"))
        if isinstance(node, dict):
            return node
    raise ConfigError(f"{path} is an option of no program")


def _head(path: Path) -> str:
    """The comment at the top of a file, without Hydra's directive and the command."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    text = [f"`{line}`<br>" if line.startswith("python -m") else line for line in lines if not line.startswith("@")]
    return "\n".join(text)


def _default(value: Any) -> str:
    if isinstance(value, str):
        return f"`{value}`"
    # The text of an object may hold its address in memory.
    return "" if value is PydanticUndefined else f"`{json.dumps(value, default=lambda each: type(each).__name__)}`"


def _sentence(text: str) -> str:
    return (text[:1].upper() + text[1:]).replace("``", "`")


def _table(rows: Iterable[tuple[str, ...]], head: tuple[str, ...] = COLUMNS) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [f"| `{name}` | " + " | ".join(each.replace("|", "\\|") for each in rest) + " |" for name, *rest in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the reference to a file, or print it."""
    parser = argparse.ArgumentParser(prog="python -m imtext.config.reference", description=main.__doc__)
    parser.add_argument("output", nargs="?", type=Path, help="Markdown file; standard output without it")
    output: Path | None = parser.parse_args().output
    if output is None:
        sys.stdout.write(reference())
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
