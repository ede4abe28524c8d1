"""The trials of a Hydra multirun, read from their folders."""

from __future__ import annotations

import json
from pathlib import Path

from omegaconf import OmegaConf

from imtext.config.failures import FAILED
from imtext.training.sweep.ranking import RANK_BY, RankedTrial, ranked


def read_trials(folder: Path, rank_by: str = RANK_BY) -> list[RankedTrial]:
    """The trials in the folder of a multirun, those with most of a metric first."""
    trials = []
    for path in folder.iterdir() if folder.is_dir() else ():
        given = path / ".hydra" / "overrides.yaml"
        if path.name.isdigit() and given.is_file():
            measured = path / "metrics.json"
            metrics = json.loads(measured.read_text()) if measured.is_file() else {}
            # Without `sweep=`, or the command of one trial would start all of them again.
            overrides = tuple(each for each in map(str, OmegaConf.load(given)) if not each.startswith("sweep="))
            trials.append(RankedTrial(int(path.name), overrides, metrics, "" if metrics else _why(path / FAILED)))
    return ranked(trials, rank_by)


def _why(file: Path) -> str:
    """How a trial has failed; one that was killed has left nothing."""
    return f"failed: {file.read_text(encoding='utf-8').partition(chr(10))[0]}" if file.is_file() else "failed"
