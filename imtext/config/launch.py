"""From a command line to a checked configuration: Hydra's entry point, with errors as messages."""

from __future__ import annotations

import logging
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser  # the only way to see the command line as Hydra does
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from imtext.config.compose import VERSION_BASE, check_overrides, parse_overrides
from imtext.config.paths import CONFIG_DIR
from imtext.errors import ConfigError, ImtextError

log = logging.getLogger(__name__)


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


def _expand_home(override: str) -> str:
    """`data.path=~/photos`, which shells leave as it is and Hydra refuses."""
    return re.sub(r"(?<==)~(?=/|$)", lambda _: str(Path.home()), override, count=1)


def _remove_if_unused(run_dir: Path) -> None:
    """A run that never began leaves no folder behind."""
    if all(path.name == ".hydra" or path.suffix == ".log" for path in run_dir.iterdir()):
        shutil.rmtree(run_dir, ignore_errors=True)


def _message(error: Exception) -> str:
    return f"error: {error}"
