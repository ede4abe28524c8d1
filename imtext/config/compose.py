"""From overrides to a composed, checked configuration. Hydra's errors become messages."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from imtext.config.paths import CONFIG_DIR
from imtext.config.schema import can_be_added, check_config
from imtext.config.suggestions import did_you_mean, flat_keys
from imtext.errors import ConfigError

VERSION_BASE = "1.3"  # version of Hydra's behaviour

OmegaConf.register_new_resolver("cwd", os.getcwd, replace=True)


def compose_config(config_name: str, overrides: list[str], config_dir: str | None = None) -> DictConfig:
    """Compose `conf/<config_name>.yaml` with overrides, as the program itself does.

    Args:
        config_name: primary config, `train` or `evaluate`.
        overrides: as on the command line; without swept values.
        config_dir: an additional folder of configurations.

    Raises:
        ConfigError: an override names a key or an option that does not exist.
    """
    if config_dir is not None:
        overrides = [*overrides, f"hydra.searchpath=[file://{Path(config_dir).absolute()}]"]
    try:
        with _hydra():
            return compose(config_name, overrides=overrides)
    except MissingConfigException as error:
        raise ConfigError(_explain_option(error)) from error
    except (ConfigCompositionException, OmegaConfBaseException, HydraException, ValueError) as error:
        raise ConfigError(_explain_key(error, config_name, overrides)) from error


def check_overrides(config_name: str, overrides: list[str], config_dir: str | None = None, deep: bool = True) -> None:
    """Compose the configuration and check it; in a sweep, check every value of every swept setting.

    Args:
        config_name: primary config, `train` or `evaluate`.
        overrides: as on the command line.
        config_dir: an additional folder of configurations.
        deep: also check settings against the schema, which imports the classes that `_target_`s name.

    Raises:
        ConfigError: a setting is wrong; the message names it, and the setting that was probably meant.
    """
    parsed = parse_overrides(overrides)
    firsts = [_choices(override)[0] for override in parsed]
    trials = [firsts]
    for position, override in enumerate(parsed):
        trials += [[*firsts[:position], choice, *firsts[position + 1 :]] for choice in _choices(override)[1:]]
    for trial in trials:
        config = compose_config(config_name, trial, config_dir)
        if deep:
            check_config(config, config_name)


def parse_overrides(overrides: list[str]) -> list[Override]:
    """Parse `key=value`, `+key=value` and `~key`.

    Raises:
        ConfigError: an override has none of these forms.
    """
    try:
        return OverridesParser.create().parse_overrides(overrides)
    except OverrideParseException as error:
        raise ConfigError(f"{error.override}: not of the form key=value, +key=value or ~key") from error


def _explain_option(error: MissingConfigException) -> str:
    """The message for an option that does not exist, such as `model=x`."""
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    options = list(error.options or [])
    return f"There is no {group}={option}; there are {', '.join(options)}.{did_you_mean(option, options)}"


def _explain_key(error: Exception, config_name: str, overrides: list[str]) -> str:
    """The message for an override that Hydra refuses, with a suggestion."""
    parsed = parse_overrides(overrides)
    # Which settings there are depends on the chosen options.
    chosen = [str(each.input_line) for each in parsed if (CONFIG_DIR / each.key_or_group).is_dir()]
    with _hydra():
        try:
            composed = compose(config_name, overrides=chosen)
        except (OmegaConfBaseException, HydraException, ValueError):
            composed = compose(config_name)
        raw: Any = OmegaConf.to_container(composed, resolve=False)
    for override in parsed:
        key = override.key_or_group
        if (CONFIG_DIR / key).is_dir() and override.value() is None:
            return f"{override.input_line}: to leave a whole group out, write ~{key}"
        if f"'{key}'" in str(error) or f"'{key.rsplit('.', 1)[-1]}'" in str(error):
            if override.is_add() and key in flat_keys(raw):
                return f"{override.input_line}: {key} is a setting already; remove the +"
            if can_be_added(raw, key):
                return f"{override.input_line}: {key} has no value yet; to add it, write +{override.input_line}"
            near = did_you_mean(key, flat_keys(raw) + groups()) or " --cfg job lists all settings."
            return f"{override.input_line}: there is no setting called {key}.{near}"
    return ": ".join(dict.fromkeys(str(each).splitlines()[0] for each in (error, error.__cause__) if str(each or "")))


def groups() -> list[str]:
    """All groups of `conf/`, such as `model` and `model/image_encoder`, without Hydra's own."""
    folders = {path.parent.relative_to(CONFIG_DIR).as_posix() for path in CONFIG_DIR.rglob("*.yaml")}
    return sorted(name for name in folders if name != "." and name.split("/")[0] != "hydra")


def _choices(override: Override) -> list[str]:
    """Expand a swept override, such as `optim.lr=1e-4,3e-4`, into one override for each value."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    key = override.get_key_element()
    return [f"{key}={value}" for value in override.sweep_string_iterator()] or [str(override.input_line)]


@contextmanager
def _hydra() -> Any:
    running = GlobalHydra.instance()
    program, running.hydra = running.hydra, None  # a program that Hydra started may compose, too
    try:
        with initialize_config_dir(version_base=VERSION_BASE, config_dir=str(CONFIG_DIR), job_name="check"):
            yield
    finally:
        GlobalHydra.instance().hydra = program
