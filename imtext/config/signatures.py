"""Pydantic models derived from constructors: the settings of each `_target_`, without a hand-written schema."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from pydantic.errors import PydanticUserError

# The annotations of libraries are not written for configurations, so only their parameter names are checked.
LIBRARIES = ("lightning.", "optuna.", "torch.")
SPECIAL = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}  # Hydra's own keys of a node


class Settings(BaseModel):
    """Settings of a program or of one object. Unknown names and values of the wrong type are refused."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )
    # Parameters that the program passes in; they are not settings.
    supplied: ClassVar[frozenset[str]] = frozenset()


class OpenSettings(Settings):
    """Settings of an object that also accepts settings of any other name."""

    model_config = ConfigDict(extra="allow")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a constructor or function."""

    hint: Any
    default: Any  # inspect.Parameter.empty: none
    keyword_only: bool
    description: str

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


@lru_cache
def settings_of(found: Callable[..., Any]) -> type[Settings]:
    """The settings that a class or function takes.

    Strict types come from its annotations, descriptions from the Args section of its docstring. Keyword-only parameters
    without a default are supplied by the program; they are listed in `supplied`.

    Args:
        found: the class or function that a `_target_` names.

    Returns:
        A model whose fields have the parameters' names as aliases.
    """
    parameters, closed = parameters_of(found)
    library = found.__module__.startswith(LIBRARIES)
    supplied = {name for name, each in parameters.items() if each.keyword_only and each.required and not library}
    fields: dict[str, Any] = {
        # The names of pydantic's own attributes are legal settings.
        f"setting_{name}": (
            Any if library else _checkable(each.hint),
            Field(... if each.required else each.default, alias=name, description=each.description),
        )
        for name, each in parameters.items()
        if name not in supplied
    }
    base = Settings if closed else OpenSettings
    model = create_model(f"{found.__name__}Settings", __base__=base, **fields)
    model.supplied = frozenset(supplied)
    return model


def names_of(model: type[Settings]) -> list[str]:
    """The names of a model's settings in configurations."""
    return [field.alias or name for name, field in model.model_fields.items()]


def parameters_of(found: Callable[..., Any]) -> tuple[dict[str, Parameter], bool]:
    """The parameters of a class or function by name, and whether it accepts no others.

    The parameters of a subclass that takes `**kwargs` include those of its parents.
    """
    parameters: dict[str, Parameter] = {}
    takes_any = inspect.isclass(found) and found.__new__ is not object.__new__  # unless there is an __init__
    for owner in inspect.getmro(found)[:-1] if inspect.isclass(found) else (found,):  # without `object`
        function = owner.__dict__.get("__init__") if inspect.isclass(owner) else owner
        if function is None:
            continue
        function = inspect.unwrap(function)
        signature = list(inspect.signature(function).parameters.values())
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except (NameError, TypeError):  # names that exist only for type checkers
            hints = {}
        described = {} if owner.__module__.startswith(LIBRARIES) else describe_args(owner.__doc__ or "")
        for each in signature[1:] if inspect.isclass(owner) else signature:
            if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL) and each.name not in parameters:
                hint, text = hints.get(each.name, Any), described.get(each.name, "")
                parameters[each.name] = Parameter(hint, each.default, each.kind is each.KEYWORD_ONLY, text)
        takes_any = any(each.kind is each.VAR_KEYWORD for each in signature)
        if not takes_any:
            break
    return parameters, not takes_any


def describe_args(docstring: str) -> dict[str, str]:
    """The description of each parameter in the Args section of a Google-style docstring, on one line."""
    found: dict[str, str] = {}
    names: list[str] = []
    inside = False
    for line in inspect.cleandoc(docstring).splitlines():
        if line and not line.startswith(" "):
            inside = line == "Args:"
        elif inside and (entry := re.match(r" {4}(\w[\w, ]*): *(.*)", line)):
            names = re.findall(r"\w+", entry[1])
            found |= dict.fromkeys(names, entry[2])
        elif inside and line:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def _checkable(hint: Any) -> Any:
    """The annotation, or Any if pydantic cannot check it."""
    try:
        TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        return Any
    return hint
