"""Compare trials with the first one, seed by seed."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import box
from rich.table import Table

from imtext.evaluation.definitions import DIRECTIONS, RECALL_AT

LEVEL = 0.95
CAPTION = (
    "per cent on validation; differences of rsum to the first trial, paired by seed, ± half of a 95 % interval over "
    "seeds; * the interval does not contain 0"
)


@dataclass(frozen=True)
class Result:
    """One finished trial.

    Attributes:
        trial: its name.
        seed: seed of the run.
        overrides: all that lead to its configuration, but for the seed.
        metrics: of the run, see `Bench.run`.
    """

    trial: str
    seed: int
    overrides: list[str]
    metrics: Mapping[str, float]

    def recalls(self, direction: str) -> list[float]:
        """R@1, R@5 and R@10 of a direction, in per cent."""
        return [100 * self.metrics[f"val/{direction}_r@{k}"] for k in RECALL_AT]

    @property
    def rsum(self) -> float:
        """The sum of the six recalls, in per cent."""
        return 100 * self.metrics["val/rsum"]


@dataclass(frozen=True)
class Difference:
    """The mean difference of two samples that are paired, and half the width of its 95 % interval (inf for one pair).

    The interval is that of Student's t distribution: it holds for other seeds, on the same pictures.
    """

    mean: float
    half_width: float

    @property
    def decided(self) -> bool:
        """Whether the interval does not contain zero."""
        return abs(self.mean) > self.half_width

    def __str__(self) -> str:
        half = "" if math.isinf(self.half_width) else f" ±{self.half_width:.1f}"
        return f"{self.mean:+.1f}{half}"


def paired(values: Sequence[float], base: Sequence[float]) -> Difference:
    """The difference of each pair, `values` minus `base`."""
    from scipy.stats import t

    differences = [value - other for value, other in zip(values, base, strict=True)]
    count = len(differences)
    if count < 2:
        return Difference(differences[0], math.inf)
    quantile = float(t.ppf((1 + LEVEL) / 2, count - 1))
    return Difference(statistics.mean(differences), quantile * statistics.stdev(differences) / math.sqrt(count))


@dataclass(frozen=True)
class Row:
    """One trial, over its seeds, and its differences to the first trial over the seeds that both have."""

    trial: str
    results: Sequence[Result]
    rsum: Difference | None
    r10: Mapping[str, Difference]

    def mean(self, direction: str) -> str:
        """The means of R@1 / 5 / 10 in per cent."""
        columns = zip(*(each.recalls(direction) for each in self.results), strict=True)
        return " / ".join(f"{statistics.mean(values):.1f}" for values in columns)


def compare(results: Sequence[Result]) -> list[Row]:
    """One row for each trial, in the order of the list."""
    by_trial: dict[str, dict[int, Result]] = {}
    for result in results:
        by_trial.setdefault(result.trial, {})[result.seed] = result
    base = next(iter(by_trial.values()), {})
    rows = []
    for name, runs in by_trial.items():
        both = [(runs[seed], base[seed]) for seed in runs if seed in base and runs is not base]
        rsum = paired([own.rsum for own, _ in both], [other.rsum for _, other in both]) if both else None
        r10 = {
            direction: paired([own.recalls(direction)[-1] for own, _ in both],
                              [other.recalls(direction)[-1] for _, other in both])
            for direction in DIRECTIONS
            if both
        }  # fmt: skip
        rows.append(Row(name or "(as it is)", list(runs.values()), rsum, r10))
    return rows


def table_of(rows: Sequence[Row]) -> Table:
    """For the terminal: R@10, rsum and its difference."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), caption=CAPTION, caption_justify="left")
    table.add_column("trial", overflow="fold")
    for column in ("seeds", "R@10 t→i", "i→t", "rsum", "difference", "s"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        recalls = [row.mean(direction).split()[-1] for direction in DIRECTIONS]
        rsum = statistics.mean(each.rsum for each in row.results)
        table.add_row(row.trial, str(len(row.results)), *recalls, f"{rsum:.1f}", _cell(row.rsum), _seconds(row))
    return table


def markdown(rows: Sequence[Row]) -> str:
    """The whole table."""
    head = ["trial", "seeds", "text → image", "image → text", "Δ rsum", "Δ R@10 t→i", "Δ R@10 i→t", "seconds"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        differences = [row.rsum, *(row.r10.get(direction) for direction in DIRECTIONS)]
        seeds = ", ".join(str(each.seed) for each in row.results)
        lines.append([row.trial, seeds, *map(row.mean, DIRECTIONS), *map(_cell, differences), _seconds(row)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(difference: Difference | None) -> str:
    return "–" if difference is None else f"{difference}{'*' if difference.decided else ''}"


def _seconds(row: Row) -> str:
    return f"{statistics.median(each.metrics['seconds'] for each in row.results):.0f}"


def write_result(result: Result, file: Path) -> None:
    """Append a result to a file of JSON lines."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(result)) + "\n")


def read_results(file: Path) -> list[Result]:
    """The results in a file; a last line that was cut off is left out."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            found.append(Result(**json.loads(line)))
        except ValueError:
            break
    return found
