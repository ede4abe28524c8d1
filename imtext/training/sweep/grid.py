"""The trials of a Hydra multirun, as a table: which settings, how good, and the best as a command to copy."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf
from rich import box
from rich.console import Console
from rich.table import Table

RANK_BY = "val/rsum"


@dataclass(frozen=True)
class GridTrial:
    """One trial.

    Attributes:
        number: of its folder.
        overrides: of the command line and of the sweep.
        metrics: by name, as in `metrics.json`; empty if the trial failed.
    """

    number: int
    overrides: tuple[str, ...]
    metrics: dict[str, float | None]

    def metric(self, name: str) -> float:
        """A metric of which more is better; a trial that has failed or did not measure it is the worst."""
        value = self.metrics.get(name)
        return float("-inf") if value is None else value


def read_trials(folder: Path, rank_by: str = RANK_BY) -> list[GridTrial]:
    """The trials in the folder of a multirun, those with most of a metric first."""
    trials = []
    for path in folder.iterdir() if folder.is_dir() else ():
        given = path / ".hydra" / "overrides.yaml"
        if path.name.isdigit() and given.is_file():
            measured = path / "metrics.json"
            metrics = json.loads(measured.read_text()) if measured.is_file() else {}
            # Without `sweep=`, or the command of one trial would start all of them again.
            overrides = tuple(each for each in map(str, OmegaConf.load(given)) if not each.startswith("sweep="))
            trials.append(GridTrial(int(path.name), overrides, metrics))
    return sorted(trials, key=lambda trial: (-trial.metric(rank_by), trial.number))


def print_trials(trials: list[GridTrial]) -> None:
    """Print the settings that differ and what they gave, and the best trial as a command."""
    if not trials:
        return
    shared = set.intersection(*(set(trial.overrides) for trial in trials))
    table = Table(box=box.SIMPLE_HEAD, caption="In per cent, of validation; the best first", caption_justify="left")
    for column in ("trial", "settings", "R@10 t→i", "i→t", "rsum"):
        table.add_column(column, justify="left" if column == "settings" else "right", overflow="fold")
    for trial in trials:
        differing = " ".join(override for override in trial.overrides if override not in shared) or "as it is"
        recalls = [trial.metrics.get(f"val/{direction}_r@10") for direction in ("t2i", "i2t")]
        values = [*recalls, trial.metrics.get(RANK_BY)]
        cells = [f"{100 * value:.1f}" if value is not None else "–" for value in values]
        table.add_row(str(trial.number), differing if trial.metrics else f"{differing} (failed)", *cells)
    console = Console()
    console.print(table)
    if trials[0].metrics:
        console.print(f"Best: python -m imtext.train {shlex.join(trials[0].overrides)}", soft_wrap=True, markup=False)
