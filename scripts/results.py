"""Write docs/results.md from MLflow: ``python scripts/results.py``.

Recipes are the runs of the MLflow experiments `flickr8k` and `flickr8k_fast`, grouped by split. What was tried are the
runs of `flickr8k_tried`, grouped by the tag `change`; the tag `kept` says what became of it:

    python -m imtext.train experiment=flickr8k experiment_name=flickr8k_tried +tags.change="no mirror" +tags.kept=no \
        model.mirror=false
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Run

PICTURE = ".github/reliability.png"
RECALLS = [f"{direction}_r{k}" for direction in ("t2i", "i2t") for k in (1, 5, 10)]
# What may differ between the runs of a recipe: the seed, and where things lie (the data has a fingerprint).
OF_A_RUN = {"seed", "data.seed", "ckpt_path", "run_name", "logger.run_name", "logger.run_id", "logger.system_metrics"}
PLACES = ("paths.", "data.path", "data.cache_dir", "data.image_root", "logger.tracking_uri", "logger.artifact_location")
PLACES_IN = (".dirpath", ".output_dir", ".default_root_dir")
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
    parser.add_argument("--output", type=Path, default=Path("docs/results.md"))
    args = parser.parse_args()
    client = MlflowClient(args.tracking_uri)
    recipes = [run for name in ("flickr8k", "flickr8k_fast") for run in finished(client, name)]
    tried = finished(client, "flickr8k_tried")
    if not recipes:
        raise SystemExit(f"error: {args.tracking_uri} has no finished run of flickr8k or flickr8k_fast")
    text = page(client, recipes, tried)
    if manifest := newest_manifest(client, recipes):
        picture = args.output.parent / PICTURE
        picture.parent.mkdir(parents=True, exist_ok=True)
        draw_reliability(manifest["calibration"], picture)
        text += "\n" + relevance(manifest)
    args.output.write_text(text)
    print(f"{args.output}: {len(recipes)} runs of recipes, {len(tried)} of what was tried")


def finished(client: MlflowClient, experiment: str) -> list[Run]:
    """All finished runs of an experiment, the oldest first."""
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    runs = client.search_runs([found.experiment_id], "attributes.status = 'FINISHED'", order_by=["start_time ASC"])
    return [run for run in runs if "val/t2i_r10" in run.data.metrics]


def page(client: MlflowClient, recipes: list[Run], tried: list[Run]) -> str:
    """The tables of docs/results.md."""
    recipes = newest_of_each_seed(recipes)
    names = {run.info.experiment_id: client.get_experiment(run.info.experiment_id).name for run in recipes}

    def recipe(run: Run) -> str:
        splits = {"official": "official split", "ratios": "60/20/20"}
        return f"`experiment={names[run.info.experiment_id]}`, {splits[run.data.params['data.split']]}"

    anchors = [f"| {anchor.name} | {anchor.t2i} | {anchor.i2t} | {anchor.source} |" for anchor in ANCHORS]
    ours = [
        run
        for run in recipes
        if names[run.info.experiment_id] == "flickr8k" and run.data.params["data.split"] == "official"
    ]
    for split in ("val", "test"):
        if ours and f"{split}/t2i_r10" in ours[0].data.metrics:
            cells = [
                " / ".join(spread(ours, f"{split}/{key}", 100) for key in keys) for keys in (RECALLS[:3], RECALLS[3:])
            ]
            anchors.append(
                f"| **`experiment=flickr8k`, MobileNetV3-Small + LSTM, {split}** | {' | '.join(cells)} | above |"
            )
    parts = [
        "# Results",
        "Written by `python scripts/results.py` from MLflow. R@1 / 5 / 10 in per cent, mean over seeds ± their "
        "standard deviation; minutes of the seed that was disturbed least. The README defines the metrics.",
        "## Recipes",
        *table(recipes, recipe, "recipe", with_kept=False),
        "The spread over seeds is one matter; how far a figure might lie off because of the images that happen to be "
        "in the gallery is another. 95 % intervals, images drawn with their captions, as `python -m imtext.evaluate` "
        "prints them:",
        intervals(recipes, recipe),
        "## Published anchors",
        "Of the official **test** split, 1,000 images; ours of the split that is named, also 1,000 images.",
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


def newest_of_each_seed(runs: list[Run]) -> list[Run]:
    """Runs of a recipe that differ in their seed alone.

    Raises:
        SystemExit: some differ in more, and a mean over them would be of nothing.
    """
    kept: dict[tuple[str, str, str], Run] = {}
    for run in runs:
        settings = run.data.params
        first = next(
            (other for key, other in kept.items() if key[:2] == (run.info.experiment_id, settings["data.split"])), run
        )
        ours, theirs = recipe_of(run), recipe_of(first)
        for key in sorted({*ours, *theirs}):
            here, there = ours.get(key), theirs.get(key)
            if here != there:
                raise SystemExit(
                    f"error: the runs {first.info.run_id} and {run.info.run_id} of one recipe differ in {key} "
                    f"({there}, {here}). Give what is not the recipe another experiment_name, or delete its run."
                )
        kept[run.info.experiment_id, settings["data.split"], settings["seed"]] = run
    return list(kept.values())


def recipe_of(run: Run) -> dict[str, str]:
    """The settings that make a run what it is, those of a resume included."""
    settings = run.data.params | {
        key.removeprefix("resumed/"): value for key, value in run.data.tags.items() if key.startswith("resumed/")
    }
    kept = {
        key: value
        for key, value in settings.items()
        if key not in OF_A_RUN and not key.startswith(PLACES) and not key.endswith(PLACES_IN)
    }
    weights = "model.image_encoder.weights"
    if kept.get(weights, "None") != "None":
        kept[weights] = "pretrained"  # downloaded, or from a file
    return kept | {"data_fingerprint": run.data.tags.get("data_fingerprint", "")}


def intervals(runs: Iterable[Run], group: Callable[[Run], str]) -> str:
    """One row for each recipe and split: how far the figures of its first seed might lie off."""
    rows = ["| recipe | measured on | seed | text → image | image → text |", "|---|---|---|---|---|"]
    seen: set[tuple[str, str]] = set()
    for run in runs:
        for split in ("val", "test"):
            key, figures = (group(run), split), run.data.metrics
            if key in seen or f"{split}/t2i_r10_low" not in figures:
                continue
            seen.add(key)
            cells = [
                " / ".join(
                    f"{100 * figures[f'{split}/{name}_low']:.1f}–{100 * figures[f'{split}/{name}_high']:.1f}"
                    for name in names
                )
                for names in (RECALLS[:3], RECALLS[3:])
            ]
            rows.append(f"| {key[0]} | {split} | {run.data.params.get('seed', '?')} | {' | '.join(cells)} |")
    return "\n".join(rows)


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
                " / ".join(mean(members, f"{split}/{key}") for key in MRRS),
                f"{min(minutes(run) for run in members):.0f}",
            ]
            kept = f" {members[0].data.tags.get('kept', '')} |" if with_kept else ""
            rows.append(f"| {name} | {split}, {gallery:,} images | {seeds} | {' | '.join(cells)} |{kept}")
    return ["\n".join(rows)]


def newest_manifest(client: MlflowClient, recipes: list[Run]) -> dict[str, Any] | None:
    """Of the bundle of the newest run of `flickr8k` on the official split."""
    for run in reversed(recipes):
        official = run.data.params["data.split"] == "official"
        named = client.get_experiment(run.info.experiment_id).name == "flickr8k"
        if official and named and client.list_artifacts(run.info.run_id, "bundle"):
            with TemporaryDirectory() as folder:
                path = client.download_artifacts(run.info.run_id, "bundle/manifest.json", folder)
                manifest: dict[str, Any] = json.loads(Path(path).read_text())
                return manifest
    return None


def draw_reliability(calibration: dict[str, Any], path: Path) -> None:
    """Observed share against predicted relevance, with 95 % intervals (Wilson, 1927)."""
    from matplotlib.figure import Figure

    rows = calibration["reliability"]
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.add_subplot(xlabel="relevance that was promised", ylabel="share of pictures that were right")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for predicted, observed, count in rows:
        middle = (observed + 1.92 / count) / (1 + 3.84 / count)
        half = 1.96 * math.sqrt(observed * (1 - observed) / count + 0.96 / count**2) / (1 + 3.84 / count)
        axes.plot([predicted, predicted], [middle - half, middle + half], color="#5b5bd6", alpha=0.5)
    axes.plot([row[0] for row in rows], [row[1] for row in rows], "o-", color="#5b5bd6", markersize=4)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure.savefig(path, dpi=110)


def relevance(manifest: dict[str, Any]) -> str:
    """What the relevance of results is worth."""
    calibration = manifest["calibration"]
    shown = int(sum(row[2] for row in calibration["reliability"]))
    return (
        "\n\n".join(
            [
                "## Relevance",
                f"The per cent beside results, of the newest `experiment=flickr8k`: {shown:,} results of searches in "
                "galleries of 100 validation pictures, half of which lacked the picture the words were written for; "
                "learnt on half of the pictures, measured on the others. Expected calibration error "
                f"{100 * calibration['error']:.2f} points. Below {100 * calibration['min_relevance']:.0f} % nothing is "
                "shown: that keeps the best result of nine in ten queries that have an answer, and "
                f'{100 * calibration["refused"]:.0f} % of those without one get the answer "No good match".',
                f"![Reliability diagram]({PICTURE})",
                "\n".join(
                    [
                        "| promised | right | results |",
                        "|---|---|---|",
                        *(
                            f"| {100 * p:.1f} % | {100 * o:.1f} % | {int(n):,} |"
                            for p, o, n in calibration["reliability"]
                        ),
                    ]
                ),
            ]
        )
        + "\n"
    )


def mean(runs: list[Run], key: str) -> str:
    """Of a figure over runs; a dash where it was not measured."""
    values = [float(run.data.metrics[key]) for run in runs if key in run.data.metrics]
    return f"{statistics.mean(values):.3f}" if values else "–"


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
