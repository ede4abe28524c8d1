"""The search space of a study: which settings a trial chooses, and from what."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from imtext.config.compose import compose_config, parse_overrides
from imtext.config.schema import check_config
from imtext.errors import ConfigError

if TYPE_CHECKING:
    from optuna import Trial

RANGE = {"low", "high", "log", "step"}
EXAMPLE = '"sweep.space={optim.lr: {low: 1e-4, high: 1e-2, log: true}, model.embed_dim: [128, 256]}"'


@dataclass(frozen=True)
class Choice:
    """A setting or a group with a list of values.

    Attributes:
        name: as on the command line, such as `model/text_encoder`.
        values: as on the command line, right of the `=`.
    """

    name: str
    values: tuple[str | int | float | bool | None, ...]

    def examples(self) -> list[str]:
        """An override for each value that is to be checked."""
        return [f"{self.name}={_written(value)}" for value in self.values]

    def suggest(self, trial: Trial) -> str:
        """The override that a trial gets."""
        return f"{self.name}={_written(trial.suggest_categorical(self.name, self.values))}"


@dataclass(frozen=True)
class Range:
    """A setting between two numbers, both included; two integers make it an integer.

    Attributes:
        name: of the setting.
        low: smallest value.
        high: largest value.
        log: whether factors count, not differences: 1e-4 to 1e-3 is as likely as 1e-3 to 1e-2.
        step: distance of the values; None: any.
    """

    name: str
    low: float
    high: float
    log: bool = False
    step: float | None = None

    def examples(self) -> list[str]:
        """Overrides for both ends."""
        return [f"{self.name}={self.low}", f"{self.name}={self.high}"]

    def suggest(self, trial: Trial) -> str:
        """The override that a trial gets."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            step = 1 if self.step is None else int(self.step)
            return f"{self.name}={trial.suggest_int(self.name, self.low, self.high, step=step, log=self.log)}"
        value = trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)
        rounded = f"{value:.4g}"  # to be read and copied
        allowed = self.step is None and self.low <= float(rounded) <= self.high
        return f"{self.name}={rounded if allowed else repr(float(value))}"


Parameter = Choice | Range


def read_space(space: Mapping[str, Any], prefix: str = "") -> list[Parameter]:
    """Read `{optim.lr: {low: 1e-4, high: 1e-2, log: true}, loss: [infonce, siglip]}`.

    `optim.lr` may also be written as `optim: {lr: …}`, which is what `+sweep.space.optim.lr=…` makes.

    Raises:
        ConfigError: an entry is neither a list nor a range, or a range is none.
    """
    found: list[Parameter] = []
    for key, node in space.items():
        name = f"{prefix}{key}"
        if isinstance(node, Sequence) and not isinstance(node, str):
            found.append(_choice(name, node))
        elif isinstance(node, Mapping) and node and not RANGE & node.keys():
            found += read_space(node, f"{name}.")
        elif isinstance(node, Mapping) and node:
            found.append(_range(name, node))
        else:
            raise ConfigError(f"sweep.space: {name}: {_written(node)} is neither a list nor a range: {EXAMPLE}")
    return found


def check_space(parameters: Sequence[Parameter], overrides: Sequence[str], given: Sequence[str]) -> None:
    """Compose a trial for every value of every choice, and for both ends of every range.

    Args:
        parameters: of the search space.
        overrides: those that all trials share.
        given: those of the command line among them; a setting cannot be both given and searched.

    Raises:
        ConfigError: a value is refused, a setting does not exist, or there is nothing to search.
    """
    if not parameters:
        raise ConfigError(f"sweep.space is empty: {EXAMPLE}")
    fixed = {each.key_or_group for each in parse_overrides(list(given))}
    for each in parameters:
        if each.name in fixed:
            raise ConfigError(f"{each.name} is in sweep.space and on the command line: leave one of them out")
    firsts = [each.examples()[0] for each in parameters]
    trials = [firsts]
    for place, each in enumerate(parameters):
        trials += [[*firsts[:place], example, *firsts[place + 1 :]] for example in each.examples()[1:]]
    for trial in trials:
        check_config(compose_config("train", [*overrides, *trial]))


def is_study(overrides: list[str]) -> bool:
    """Whether a command line of `imtext.sweep` asks for a study, not for a list of trials."""
    plain = [str(each.input_line) for each in parse_overrides(overrides) if not each.is_sweep_override()]
    try:
        return "storage" in (compose_config("sweep", plain).get("sweep") or {})
    except ConfigError:  # a mistake, which is reported later, or an option of a folder of one's own
        return False


def searched(overrides: list[str]) -> list[str]:
    """Turn Hydra's sweeps, such as `optim.lr=tag(log, interval(1e-4, 1e-2))`, into entries of `sweep.space`.

    Raises:
        ConfigError: a sweep that is neither a choice nor a range, such as `glob`.
    """
    return [
        f"+sweep.space={{{each.key_or_group}: {_entry(each)}}}" if each.is_sweep_override() else str(each.input_line)
        for each in parse_overrides(overrides)
    ]


def _choice(name: str, node: Sequence[Any]) -> Choice:
    values = tuple(_written(each) if isinstance(each, list | dict) else each for each in node)
    if not values or len(set(map(str, values))) < len(values):
        raise ConfigError(f"sweep.space: {name} has {'a value twice' if values else 'no values'}")
    return Choice(name, values)


def _range(name: str, node: Mapping[str, Any]) -> Range:
    unknown = sorted(node.keys() - RANGE)
    if unknown or not {"low", "high"} <= node.keys():
        wrong = f"{unknown[0]} is unknown" if unknown else "low and high are needed"
        raise ConfigError(f"sweep.space: {name}: {wrong}; a range has low and high, and may have log and step")
    low, high, log, step = node["low"], node["high"], node.get("log", False), node.get("step")
    numbers = [each for each in (low, high, step) if each is not None]
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers) or low >= high:
        raise ConfigError(f"sweep.space: {name}: low={low} high={high} are not two numbers in ascending order")
    if log and (low <= 0 or step is not None):
        raise ConfigError(f"sweep.space: {name}: with log, low must be above 0 and there is no step")
    if step is not None and (step <= 0 or (isinstance(low, int) and isinstance(high, int) and step != int(step))):
        raise ConfigError(f"sweep.space: {name}: step={step} must be above 0, and an integer between integers")
    return Range(name, low, high, bool(log), step)


def _entry(override: Override) -> str:
    """A sweep of Hydra as an entry of `sweep.space`."""
    value = override.value()
    if isinstance(value, ChoiceSweep):
        texts = ", ".join(json.dumps(str(each)) for each in override.sweep_string_iterator())
        return f"[{texts}]"
    if isinstance(value, IntervalSweep):
        ends: list[Any] = [value.start, value.end]
        whole = "int" in value.tags or all(isinstance(each, int) for each in ends)
        low, high = (int(each) if whole else each for each in ends)
        return f"{{low: {low}, high: {high}, log: {str('log' in value.tags).lower()}}}"
    if isinstance(value, RangeSweep) and value.start is not None and value.stop is not None:
        last = value.start + value.step * (math.ceil((value.stop - value.start) / value.step) - 1)
        return f"{{low: {value.start}, high: {last}, step: {value.step}}}"
    raise ConfigError(f"{override.input_line}: list the values, or write interval(low, high)")


def _written(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}: {_written(each)}' for key, each in value.items())}}}"
    return "null" if value is None else str(value)
