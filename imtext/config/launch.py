"""From a command line to a checked configuration: Hydra's entry point, with errors as messages."""

from __future__ import annotations

import logging
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser  # the only way to see the command line as Hydra does
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from imtext.config.schema import CONFIG_DIR, can_be_added, check_config, did_you_mean, flat_keys
from imtext.errors import ConfigError, ImtextError

log = logging.getLogger(__name__)
VERSION_BASE = "1.3"


def launch(
    config_name: str,
    task: Callable[[DictConfig], float | None],
    prepare: Callable[[list[str]], list[str]] | None = None,
) -> None:
    """Run a program from `sys.argv`.

    A mistake in the command line is reported before anything is loaded. In a multirun a failed trial does not stop
    the others; the exit status tells.

    Args:
        config_name: primary config, `train` or `evaluate`.
        task: called with the composed config; its result is what sweepers optimise.
        prepare: may rewrite the overrides first.
    """
    args = get_args_parser().parse_intermixed_args()  # flags may stand between overrides
    failed: list[str] = []

    def guarded(config: DictConfig) -> float | None:
        multirun = HydraConfig.get().mode == RunMode.MULTIRUN
        try:
            return task(config)
        except ImtextError as error:
            if not multirun:
                _remove_if_unused(Path(HydraConfig.get().runtime.output_dir))
                raise SystemExit(_message(error)) from None
            log.error("This trial failed: %s", error)
        except Exception:
            if not multirun:
                raise
            log.exception("This trial failed")
        failed.append(str(HydraConfig.get().job.override_dirname))
        return float("nan")

    try:
        flags = [arg for arg in sys.argv[1:] if arg not in args.overrides]
        overrides = [_expand_home(override) for override in args.overrides]
        if not (args.hydra_help or args.shell_completion or args.info):
            overrides = prepare(overrides) if prepare and overrides else overrides
            parsed = parse_overrides(overrides)
            several = next((each for each in parsed if each.is_sweep_override()), None)
            sweeps = args.multirun or any(each.key_or_group in ("sweep", "hydra.mode") for each in parsed)
            if several is not None and not sweeps:
                raise ConfigError(f"{several.input_line}: several values make a sweep, which takes -m before them")
            check_overrides(
                args.config_name or config_name, overrides, args.config_dir, deep=not (args.help or args.cfg)
            )
        sys.argv = [sys.argv[0], *flags, *overrides]
        main = hydra.main(version_base=VERSION_BASE, config_path=str(CONFIG_DIR), config_name=config_name)
        main(guarded)()
    except ImtextError as error:
        raise SystemExit(_message(error)) from None
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        raise SystemExit(130) from None
    if failed:
        raise SystemExit(_message(ConfigError(f"{len(failed)} trials failed: {'; '.join(failed)}")))


def check_overrides(config_name: str, overrides: list[str], config_dir: str | None = None, deep: bool = True) -> None:
    """Compose the configuration and check it, for a multirun every value of every swept key.

    Raises:
        ConfigError: names the key, and the one that was probably meant.
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
    """What is meant by `key=value`, `+key=value` and `~key`.

    Raises:
        ConfigError: one of them is none of these.
    """
    try:
        return OverridesParser.create().parse_overrides(overrides)
    except OverrideParseException as error:
        raise ConfigError(f"{error.override}: not of the form key=value, +key=value or ~key") from error


def compose_config(config_name: str, overrides: list[str], config_dir: str | None = None) -> DictConfig:
    """Compose `conf/<config_name>.yaml` with overrides, as the program itself would.

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


def _explain_option(error: MissingConfigException) -> str:
    """`model=x` where there is no conf/model/x.yaml."""
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    options = list(error.options or [])
    return f"There is no {group}={option}; there are {', '.join(options)}.{did_you_mean(option, options)}"


def _explain_key(error: Exception, config_name: str, overrides: list[str]) -> str:
    """Hydra's complaint about an override, with a suggestion."""
    with _hydra():
        raw: Any = OmegaConf.to_container(compose(config_name), resolve=False)
    for override in parse_overrides(overrides):
        key = override.key_or_group
        if (CONFIG_DIR / key).is_dir() and override.value() is None:
            return f"{override.input_line}: to leave a whole group out, write ~{key}"
        if f"'{key}'" in str(error) or f"'{key.rsplit('.', 1)[-1]}'" in str(error):
            if override.is_add() and key in flat_keys(raw):
                return f"{override.input_line}: {key} is a setting already; leave the + away"
            if can_be_added(raw, key):
                return f"{override.input_line}: {key} has no value yet; to add it, write +{override.input_line}"
            groups = [path.name for path in CONFIG_DIR.iterdir() if path.is_dir()]
            near = did_you_mean(key, flat_keys(raw) + groups)
            return (
                f"{override.input_line}: there is no setting called {key}.{near or ' See --cfg job for all of them.'}"
            )
    return str(error).splitlines()[0]


def _choices(override: Override) -> list[str]:
    """`optim.lr=1e-4,3e-4` → one plain override for each value."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    key = override.get_key_element()
    return [f"{key}={value}" for value in override.sweep_string_iterator()] or [str(override.input_line)]


@contextmanager
def _hydra() -> Any:
    with initialize_config_dir(version_base=VERSION_BASE, config_dir=str(CONFIG_DIR), job_name="check"):
        yield


def _expand_home(override: str) -> str:
    """`data.path=~/photos`, which shells leave as it is and Hydra refuses."""
    return re.sub(r"(?<==)~(?=/|$)", lambda _: str(Path.home()), override, count=1)


def _remove_if_unused(run_dir: Path) -> None:
    """A run that never began leaves no folder behind."""
    if all(path.name == ".hydra" or path.suffix == ".log" for path in run_dir.iterdir()):
        shutil.rmtree(run_dir, ignore_errors=True)


def _message(error: Exception) -> str:
    return f"error: {error}"
