"""The trials of a comparison: lists of overrides, each with every seed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from imtext.config.compose import compose_config, parse_overrides
from imtext.config.schema import check_config
from imtext.errors import ConfigError

EXAMPLE = "\"sweep.trials=['loss=infonce', 'loss=siglip']\", or a file of conf/sweep/, such as sweep=tricks"


@dataclass(frozen=True)
class Trial:
    """One training of a comparison.

    Attributes:
        name: what it changes, as written in the list; trials of one name differ by their seed.
        seed: seed of the run.
        overrides: all that lead to its configuration, but for the seed.
        config: composed and checked.
    """

    name: str
    seed: int
    overrides: tuple[str, ...]
    config: DictConfig


def trials_of(sweep: DictConfig, overrides: Sequence[str]) -> list[Trial]:
    """Compose every trial, so that a mistake in the last one is found before the first one runs.

    Later overrides replace earlier ones of the same setting: the common ones of the list, those of the command line,
    those of the trial.

    Args:
        sweep: the group `sweep` of a configuration, with `base`, `seeds` and `trials`.
        overrides: of the command line, without the group `sweep` and its settings.

    Returns:
        All trials of the first seed, then those of the next.

    Raises:
        ConfigError: an override is wrong, or a trial or a seed is listed twice.
    """
    if OmegaConf.is_missing(sweep, "trials"):
        raise ConfigError(f"sweep.trials is needed: {EXAMPLE}")
    names, seeds = [str(name).strip() for name in sweep["trials"]], list(sweep["seeds"])
    for kind, values in (("trials", names), ("seeds", seeds)):
        twice = sorted({str(value) for value in values if values.count(value) > 1})
        if twice or not values:
            raise ConfigError(f"sweep.{kind} has {', '.join(twice)} twice" if twice else f"sweep.{kind} is empty")
    composed = {}
    for name in names:
        own = last_of_each([*sweep["base"], *overrides, *shlex.split(name)])
        composed[name] = own, compose_config("train", own)
        check_config(composed[name][1])
    return [
        Trial(name, seed, tuple(composed[name][0]), with_seed(composed[name][1], seed))
        for seed in seeds
        for name in names
    ]


def with_seed(config: DictConfig, seed: int) -> DictConfig:
    """A copy with another seed."""
    config = config.copy()
    config.seed = seed
    return config


def last_of_each(overrides: Sequence[str]) -> list[str]:
    """Overrides without those that a later one replaces."""
    parsed = {each.key_or_group: str(each.input_line) for each in parse_overrides(list(overrides))}
    return list(parsed.values())


def without_sweep(overrides: Sequence[str]) -> list[str]:
    """Overrides without the group `sweep` and its settings."""
    parsed = parse_overrides(list(overrides))
    return [str(each.input_line) for each in parsed if each.key_or_group.split(".")[0] != "sweep"]
