"""Hydra's entry point: mistakes are reported as one line before anything is loaded."""

from __future__ import annotations

import argparse
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from imtext.config import failures
from imtext.config.compose import VERSION_BASE, check_overrides, parse_overrides
from imtext.config.memory import speed_up_memory
from imtext.config.paths import CONFIG_DIR
from imtext.errors import DISK_ERRORS, ConfigError, ImtextError, StoreError

log = logging.getLogger(__name__)
Task = Callable[[DictConfig], float | None]
Prepare = Callable[[list[str]], list[str]]


def launch(config_name: str, task: Task, prepare: Prepare | None = None) -> None:
    """Run a program from `sys.argv`.

    In a multirun, a failed trial does not stop the others; the exit status is 1 if any failed.

    Args:
        config_name: primary config, `train` or `evaluate`.
        task: called with the composed config; its result is what sweepers optimise.
        prepare: may rewrite the overrides before they are checked.
    """
    failures.take()
    speed_up_memory()
    try:
        sys.argv[1:] = check_command_line(config_name, sys.argv[1:], prepare)
        main = hydra.main(version_base=VERSION_BASE, config_path=str(CONFIG_DIR), config_name=config_name)
        main(_guard(task))()
    except ImtextError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        raise SystemExit(130) from None
    if failed := failures.take():
        raise SystemExit(f"error: {len(failed)} trials failed: {'; '.join(failed)}")


def check_command_line(config_name: str, argv: list[str], prepare: Prepare | None = None) -> list[str]:
    """Check the arguments of a program, and complete its overrides.

    Args:
        config_name: primary config.
        argv: arguments without the program's name; flags and overrides may be mixed.
        prepare: may rewrite the overrides before they are checked.

    Returns:
        The arguments for Hydra: flags, then overrides.

    Raises:
        ConfigError: an override is wrong; the message names it, and the override that was probably meant.
    """
    args, _ = flags_parser().parse_known_intermixed_args(argv)
    flags = [arg for arg in argv if arg not in args.overrides]
    overrides = [_quote_ranges(_expand_home(override)) for override in args.overrides]
    if args.hydra_help or args.version or args.shell_completion or args.info or args.experimental_rerun:
        return [*flags, *overrides]
    if prepare and overrides:
        overrides = prepare(overrides)
    shared = {f"trainer{key}={value}" for key in ("", ".strategy") for value in ("ddp", "fsdp")} & set(overrides)
    if shared and not (args.help or args.cfg) and (process := _process_from_outside()):
        overrides = _share_folder(overrides, process)
    parsed = parse_overrides(overrides)
    sweeps = args.multirun or any(each.key_or_group in ("sweep", "hydra.mode") for each in parsed)
    several = next((each for each in parsed if each.is_sweep_override()), None)
    if several is not None and not sweeps:
        raise ConfigError(f"{several.input_line}: several values make a sweep; add -m")
    # The help and --cfg show the configuration at once: checking types would import torch.
    check_overrides(args.config_name or config_name, overrides, args.config_dir, deep=not (args.help or args.cfg))
    return [*flags, *overrides]


def flags_parser() -> argparse.ArgumentParser:
    """A parser of Hydra's documented flags, to separate them from overrides; Hydra refuses unknown flags itself."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for names in ("--help -h", "--hydra-help", "--version", "--run -r", "--multirun -m", "--resolve"):
        parser.add_argument(*names.split(), action="store_true")
    parser.add_argument("--shell-completion", "-sc", action="store_true")
    for names in ("--cfg -c", "--package -p", "--config-path -cp", "--config-name -cn", "--config-dir -cd"):
        parser.add_argument(*names.split())
    parser.add_argument("--experimental-rerun")
    parser.add_argument("--info", "-i", nargs="?", const="all")
    parser.add_argument("overrides", nargs="*")
    return parser


def _process_from_outside() -> tuple[int, int] | None:
    """Number and count of this process, if torchrun or SLURM have started several; else None."""
    for number, count in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if int(os.environ.get(count, "1")) > 1 and number in os.environ:
            return int(os.environ[number]), int(os.environ[count])
    return None


def _helps() -> bool:
    """Was this process started to help another one, by Lightning, torchrun or SLURM?"""
    process = _process_from_outside()
    return bool(process and process[0]) or int(os.environ.get("LOCAL_RANK", "0")) > 0


def _share_folder(overrides: list[str], process: tuple[int, int]) -> list[str]:
    """Let processes from outside write to one folder; each would name one of its own, by its own clock.

    Raises:
        ConfigError: the command line names no folder.
    """
    if not any(override.startswith("hydra.run.dir=") for override in overrides):
        raise ConfigError(
            f"{process[1]} processes need one folder, which they cannot agree on: add hydra.run.dir=runs/train/<name>"
        )
    return [*overrides, "hydra.output_subdir=null"] if process[0] else overrides


def _guard(task: Task) -> Task:
    """Wrap the task so that errors become messages. A failed trial of a multirun, in any process, leaves a file."""

    def guarded(config: DictConfig) -> float | None:
        multirun = HydraConfig.get().mode == RunMode.MULTIRUN
        folder = Path(HydraConfig.get().runtime.output_dir)
        if multirun:
            failures.forget(folder)
        try:
            with _disk_errors():
                return task(config)
        except ImtextError as error:
            if not multirun:
                if _helps():
                    raise SystemExit(1) from None  # the first process says it, and its folder is shared
                _remove_if_unused(folder)
                raise SystemExit(f"error: {error}") from None
            log.error("This trial failed: %s", error)
            why = str(error)
        except Exception as error:
            if not multirun:
                raise
            log.exception("This trial failed")
            why = str(error) or type(error).__name__
        failures.leave(folder, why)
        return float("nan")

    return guarded


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Explain a disk that is full or cannot be written.

    Raises:
        StoreError: instead of an OSError of this kind.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise StoreError(f"{error.strerror}{f': {error.filename}' if error.filename else ''}") from error


def _expand_home(override: str) -> str:
    """Expand `~` in `data.path=~/photos`: shells do not expand it, and Hydra refuses it."""
    return re.sub(r"(?<==)~(?=/|$)", lambda _: str(Path.home()), override, count=1)


def _quote_ranges(override: str) -> str:
    """Quote `{00000..00099}` in `data.path=shards/{00000..00099}.tar`: Hydra takes a brace for a dictionary.

    In a list, every element is quoted by itself.
    """
    if not re.search(r"\{\d+\.\.\d+\}", override) or re.search("[\"']", override):
        return override
    key, _, value = override.partition("=")
    quoted = re.sub(r"[^\[\],]+", lambda part: f"'{part[0].strip()}'", value) if value.startswith("[") else f"'{value}'"
    return f"{key}={quoted}"


def _remove_if_unused(run_dir: Path) -> None:
    """Delete the folder of a run that failed before it wrote anything but logs."""
    if all(path.name == ".hydra" or path.suffix == ".log" for path in run_dir.iterdir()):
        shutil.rmtree(run_dir, ignore_errors=True)
