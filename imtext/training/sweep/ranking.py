"""Trials of a sweep as a table, the best first, and the best as a command to copy."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

RANK_BY = "val/rsum"
COLUMNS = {"val/t2i_r@10": "R@10 t→i", "val/i2t_r@10": "i→t", RANK_BY: "rsum"}


@dataclass(frozen=True)
class RankedTrial:
    """One trial.

    Attributes:
        number: of the trial.
        overrides: all that lead to its configuration.
        metrics: by name, as in `metrics.json`; empty if the trial failed.
        note: how it ended, if not as planned: failed or pruned.
    """

    number: int
    overrides: tuple[str, ...]
    metrics: Mapping[str, float | None]
    note: str = ""

    def metric(self, name: str) -> float | None:
        """A metric; None if the trial has failed or did not measure it."""
        return self.metrics.get(name)


def ranked(trials: Iterable[RankedTrial], by: str = RANK_BY, maximize: bool = True) -> list[RankedTrial]:
    """The trials with the best value of a metric first; those that did not end as planned last."""

    def place(trial: RankedTrial) -> tuple[bool, bool, float, int]:
        value = trial.metric(by)
        return bool(trial.note), value is None, (-1 if maximize else 1) * (value or 0), trial.number

    return sorted(trials, key=place)


def cells_of(trials: Sequence[RankedTrial], by: str = RANK_BY) -> list[list[str]]:
    """The table in text: a line of headings, then one for each trial with the settings that differ."""
    columns = COLUMNS if by in COLUMNS else {**COLUMNS, by: by}
    shared = set.intersection(*(set(trial.overrides) for trial in trials))
    lines = [["trial", "settings", *columns.values()]]
    for trial in trials:
        differing = " ".join(override for override in trial.overrides if override not in shared) or "as it is"
        values = [shown(name, trial.metric(name)) for name in columns]
        lines.append([str(trial.number), f"{differing} ({trial.note})" if trial.note else differing, *values])
    return lines


def best_command(trials: Sequence[RankedTrial]) -> str | None:
    """The command that trains the first of the trials; None if it has failed."""
    return f"python -m imtext.train {shlex.join(trials[0].overrides)}" if trials and trials[0].metrics else None


def print_trials(trials: Sequence[RankedTrial], by: str = RANK_BY) -> None:
    """Print the settings that differ and what they gave, and the best trial as a command."""
    if not trials:
        return
    head, *lines = cells_of(trials, by)
    caption = f"Recalls and rsum in per cent, of validation; the best {COLUMNS.get(by, by)} first"
    table = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left")
    for column in head:
        table.add_column(column, justify="left" if column == "settings" else "right", overflow="fold")
    for line in lines:
        table.add_row(*line)
    console = Console()
    console.print(table)
    if command := best_command(trials):
        console.print(f"Best: {command}", soft_wrap=True, markup=False)


def shown(name: str, value: float | None) -> str:
    """A recall or a sum of recalls in per cent; other metrics as they are."""
    if value is None:
        return "–"
    return f"{100 * value:.1f}" if name in COLUMNS or "_r@" in name else f"{value:.4g}"
