"""The origin of a run: its code, its command, and its sweep."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode


def source_tags() -> dict[str, str]:
    """Tags for the command and the git commit of this process; without git, only for the command."""
    program = Path(sys.argv[0]).name
    tags = {
        "command": " ".join([program, *sys.argv[1:]]),
        "mlflow.source.name": program,  # MLflow shows what follows the last slash
        "mlflow.source.type": "LOCAL",
    }
    with suppress(OSError, subprocess.CalledProcessError):
        tags["git_commit"] = tags["mlflow.source.git.commit"] = _git("rev-parse", "HEAD")
        tags["git_dirty"] = str(bool(_git("status", "--porcelain"))).lower()
    return tags


def _git(*args: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *args]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def run_name() -> str:
    """A name that distinguishes this run: the swept settings of a trial, or model and data."""
    if not HydraConfig.initialized():
        return "run"
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        swept = _swept_keys()
        settings = [override for override in hydra.overrides.task if override.split("=")[0].lstrip("+") in swept]
        return ", ".join(settings) or f"trial {hydra.job.num}"
    return f"{hydra.runtime.choices.get('model')} on {hydra.runtime.choices.get('data')}"


def _swept_keys() -> set[str]:
    """The settings that differ between the trials: those with several values on the command line or in `sweep=`."""
    keys = {str(key) for key in HydraConfig.get().sweeper.get("params") or {}}
    for argument in sys.argv[1:]:
        with suppress(HydraException):  # flags are not overrides
            override = OverridesParser.create().parse_override(argument)
            if override.is_sweep_override():
                keys.add(override.key_or_group)
    return keys


def sweep_tags() -> dict[str, str]:
    """Tags for the sweep of a trial and the trial's number; none outside a sweep."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return {}
    hydra = HydraConfig.get()
    return {"sweep": Path(hydra.sweep.dir).name, "trial": str(hydra.job.num)}
