"""Write docs/tricks.md, "Losses and training tricks": ``python -m scripts.tricks``.

Rows are the runs of the MLflow experiment `flickr8k_tricks`, one row for each tag `row`. Differences to the row `base`
are paired by seed.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Iterable
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from scripts.results import RECALLS, finished, metrics_of, minutes, spread

PAGE = Path("docs/tricks.md")
BASE = "base"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    here = f"sqlite:///{Path.cwd() / 'runs' / 'mlflow.db'}"
    parser.add_argument("--tracking-uri", default=os.environ.get("MLFLOW_TRACKING_URI", here))
    parser.add_argument("--output", type=Path, default=PAGE)
    args = parser.parse_args()
    runs = finished(MlflowClient(args.tracking_uri), "flickr8k_tricks")
    if not any(row_of(run) == BASE for run in runs):
        raise SystemExit(f"error: {args.tracking_uri} has no finished run of flickr8k_tricks with the tag row={BASE}")
    args.output.write_text(TEXT.format(table=table(runs)))
    print(f"{args.output}: {len(runs)} runs")


def row_of(run: Run) -> str:
    """The row that a run belongs to."""
    return str(run.data.tags.get("row", run.info.run_name or ""))


def seed_of(run: Run) -> str:
    """The seed of a run."""
    return str(run.data.params.get("seed", "?"))


def table(runs: Iterable[Run]) -> str:
    """One row for each trick, the oldest first, with its paired difference to the base."""
    rows: dict[str, dict[str, Run]] = {}
    for run in runs:
        rows.setdefault(row_of(run), {})[seed_of(run)] = run  # the newest run of each seed
    base = rows[BASE]
    lines = [
        "| change | seeds | text → image | image → text | rsum, paired with base | minutes |",
        "|---|---|---|---|---|---|",
    ]
    for name, members in rows.items():
        found = list(members.values())
        recalls = [" / ".join(spread(found, f"val/{key}", 100) for key in keys) for keys in (RECALLS[:3], RECALLS[3:])]
        cells = [name, ", ".join(members), *recalls, difference(members, base), f"{min(map(minutes, found)):.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rsum(run: Run) -> float:
    """The sum of the six recalls on validation, in per cent."""
    return 100 * sum(metrics_of(run)[f"val/{key}"] for key in RECALLS)


def difference(members: dict[str, Run], base: dict[str, Run]) -> str:
    """Mean and standard deviation of the differences of rsum, in points, over the seeds that both have."""
    if members is base:
        return "–"
    both = [seed for seed in members if seed in base]
    values = [rsum(members[seed]) - rsum(base[seed]) for seed in both]
    if not values:
        return "no common seed"
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):+.1f}{deviation}"


TEXT = """# Losses and training tricks

Written by `python -m scripts.tricks` from measured runs.

{table}
"""


if __name__ == "__main__":
    main()
