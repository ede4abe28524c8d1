"""Write RESULTS.md from MLflow: ``python scripts/results.py``.

Recipes are the runs of the MLflow experiments `flickr8k` and `flickr8k_fast`, grouped by split. What was tried are the
runs of `flickr8k_tried`, grouped by the tag `change`; the tag `kept` says what became of it:

    python -m imtext.train experiment=flickr8k experiment_name=flickr8k_tried +tags.change="no mirror" +tags.kept=no \
        model.mirror=false
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Run

RECALLS = [f"{direction}_r{k}" for direction in ("t2i", "i2t") for k in (1, 5, 10)]
MRRS = ["t2i_mrr", "i2t_mrr"]


class Anchor(NamedTuple):
    """A published result on Flickr8K's 1,000 test images, by training on its 6,000."""

    name: str
    t2i: str
    i2t: str
    source: str


ANCHORS = [
    Anchor("VSE, VGG-19 frozen + LSTM", "12.5 / 37.0 / 51.5", "18.0 / 40.9 / 55.0", "Kiros et al., 2014"),
    Anchor("the same, code release", "14.9 / 38.3 / 51.6", "22.3 / 48.7 / 59.8", "ryankiros/visual-semantic-embedding"),
    Anchor("Mean vector + CCA, VGG-19", "19.1 / 45.3 / 60.4", "22.6 / 48.8 / 61.2", "Klein et al., CVPR 2015"),
    Anchor("m-CNN, ensemble of four", "20.3 / 47.6 / 61.7", "24.8 / 53.7 / 67.1", "Ma et al., ICCV 2015"),
    Anchor("GMM + HGLMM Fisher vectors, VGG-19", "21.3 / 50.0 / 64.8", "31.0 / 59.3 / 73.7", "Klein et al., CVPR 2015"),
]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    here = f"sqlite:///{Path.cwd() / 'runs' / 'mlflow.db'}"
    parser.add_argument("--tracking-uri", default=os.environ.get("MLFLOW_TRACKING_URI", here))
    parser.add_argument("--output", type=Path, default=Path("RESULTS.md"))
    args = parser.parse_args()
    client = MlflowClient(args.tracking_uri)
    recipes = [run for name in ("flickr8k", "flickr8k_fast") for run in finished(client, name)]
    tried = finished(client, "flickr8k_tried")
    if not recipes:
        raise SystemExit(f"error: {args.tracking_uri} has no finished run of flickr8k or flickr8k_fast")
    args.output.write_text(page(client, recipes, tried))
    print(f"{args.output}: {len(recipes)} runs of recipes, {len(tried)} of what was tried")


def finished(client: MlflowClient, experiment: str) -> list[Run]:
    """All finished runs of an experiment, the oldest first."""
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    runs = client.search_runs([found.experiment_id], "attributes.status = 'FINISHED'", order_by=["start_time ASC"])
    return [run for run in runs if "val/t2i_r10" in run.data.metrics]


def page(client: MlflowClient, recipes: list[Run], tried: list[Run]) -> str:
    """The text of RESULTS.md."""
    names = {run.info.experiment_id: client.get_experiment(run.info.experiment_id).name for run in recipes}

    def recipe(run: Run) -> str:
        splits = {"official": "official split", "ratios": "60/20/20"}
        return f"`experiment={names[run.info.experiment_id]}`, {splits[run.data.params['data.split']]}"

    anchors = [f"| {anchor.name} | {anchor.t2i} | {anchor.i2t} | {anchor.source} |" for anchor in ANCHORS]
    parts = [
        "# Results",
        "Written by `python scripts/results.py` from MLflow. R@1 / 5 / 10 in per cent, mean over seeds ± their "
        "standard deviation; definitions are in the [README](README.md#results).",
        "## Recipes",
        *table(recipes, recipe, "recipe", with_kept=False),
        "The interval that `python -m imtext.evaluate` prints beside a figure is another matter: how far it might lie "
        "off because of the images that happen to be in the gallery (95 %, images drawn with their captions).",
        "## Published anchors",
        "Official **test** split, 1,000 images; ours above are of validation where not said otherwise.",
        "\n".join(["| | text → image | image → text | source |", "|---|---|---|---|", *anchors]),
    ]
    if tried:
        parts += [
            "## What was tried",
            "Official split, validation. Rows tagged *prototype* are of a plain loop over the same model and data, "
            "written to choose what to build; one thread, so their minutes are not those of the recipes.",
            *table(tried, lambda run: run.data.tags.get("change", run.info.run_name or ""), "change", with_kept=True),
        ]
    return "\n\n".join(parts) + "\n"


def table(runs: Iterable[Run], group: Callable[[Run], str], title: str, with_kept: bool) -> list[str]:
    """One row for each group of runs, for each split that was measured."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(group(run), []).append(run)
    last = " kept |" if with_kept else ""
    head = f"| {title} | measured on | seeds | text → image | image → text | MRR t2i / i2t | minutes |{last}"
    rows = [head, "|" + "---|" * (head.count("|") - 1)]
    for name, members in groups.items():
        for split in ("val", "test"):
            if f"{split}/t2i_r10" not in members[0].data.metrics:
                continue
            gallery = int(members[0].data.metrics.get(f"{split}/num_images", 1000))
            seeds = ", ".join(run.data.params.get("seed", "?") for run in members)
            cells = [
                " / ".join(spread(members, f"{split}/{key}", 100) for key in RECALLS[:3]),
                " / ".join(spread(members, f"{split}/{key}", 100) for key in RECALLS[3:]),
                " / ".join(f"{mean(members, f'{split}/{key}'):.3f}" for key in MRRS),
                f"{statistics.mean(minutes(run) for run in members):.0f}",
            ]
            kept = f" {members[0].data.tags.get('kept', '')} |" if with_kept else ""
            rows.append(f"| {name} | {split}, {gallery:,} images | {seeds} | {' | '.join(cells)} |{kept}")
    return ["\n".join(rows)]


def mean(runs: list[Run], key: str) -> float:
    """Of a figure over runs."""
    return statistics.mean(float(run.data.metrics[key]) for run in runs)


def spread(runs: list[Run], key: str, scale: float) -> str:
    """Mean, and the standard deviation when there is more than one run."""
    values = [scale * run.data.metrics[key] for run in runs]
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def minutes(run: Run) -> float:
    """How long a run took."""
    logged = run.data.metrics.get("minutes")
    return float(logged if logged is not None else (run.info.end_time - run.info.start_time) / 60_000)


if __name__ == "__main__":
    main()
