"""Write docs/results.md from MLflow: ``python -m scripts.results``.

Recipes are the runs of the MLflow experiments in `RECIPES`, grouped by split. Trials of other ideas are the runs of
`flickr8k_tried`, grouped by the tag `change`; the tag `kept` says whether the idea was kept:

    python -m imtext.train experiment=flickr8k experiment_name=flickr8k_tried +tags.change="no mirror" +tags.kept=no \
        model.mirror=false
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from scripts.anchors import ANCHORS

PAGE, PICTURE = Path("docs/results.md"), "images/reliability.png"
RECALLS = [f"{direction}_r{k}" for direction in ("t2i", "i2t") for k in (1, 5, 10)]
# Settings that may differ between the runs of a recipe: the seed, and paths (the data is compared by its fingerprint).
OF_A_RUN = {"seed", "data.seed", "ckpt_path", "run_name", "logger.run_name", "logger.run_id", "logger.system_metrics"}
PLACES = ("paths.", "data.path", "data.cache_dir", "data.image_root", "logger.tracking_uri", "logger.artifact_location")
PLACES_IN = (".dirpath", ".output_dir", ".default_root_dir")
MRRS = ["t2i_mrr", "i2t_mrr"]
# Recipes, and the towers of those that stand beside the published anchors.
RECIPES = {
    "flickr8k": "MobileNetV3-Small + LSTM",
    "flickr8k_lite": "EfficientNet-Lite0 + LSTM",
    "flickr8k_pretrained_text": "EfficientNet-Lite0 + LSTM and MiniLM",
    "flickr8k_rerank": "EfficientNet-Lite0 + LSTM, text → image re-ranked",
    "flickr8k_fast": None,
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    here = f"sqlite:///{Path.cwd() / 'runs' / 'mlflow.db'}"
    parser.add_argument("--tracking-uri", default=os.environ.get("MLFLOW_TRACKING_URI", here))
    parser.add_argument("--output", type=Path, default=PAGE)
    args = parser.parse_args()
    client = MlflowClient(args.tracking_uri)
    recipes = [run for name in RECIPES for run in finished(client, name)]
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
    print(f"{args.output}: {len(recipes)} runs of recipes, {len(tried)} trials of other ideas")


def finished(client: MlflowClient, experiment: str) -> list[Run]:
    """All finished runs of an experiment, the oldest first."""
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    runs = client.search_runs([found.experiment_id], "attributes.status = 'FINISHED'", order_by=["start_time ASC"])
    return [run for run in runs if "val/t2i_r10" in metrics_of(run)]


def metrics_of(run: Run) -> dict[str, float]:
    """The metrics of a run by their names without `@`, such as `val/t2i_r10`; re-ranked ones replace those before.

    In MLflow a number orders the sections, as in `1_val/t2i_r10`; runs of earlier versions do not have it.
    """
    metrics = {re.sub(r"^\d_", "", name): value for name, value in run.data.metrics.items()}
    return metrics | {name.replace("rerank_", ""): metrics[name] for name in metrics if "/rerank_t2i" in name}


def split_of(run: Run) -> str:
    """How a run divides the data; a re-ranker has the split of its dual encoder."""
    return str(run.data.tags.get("data_split") or run.data.params["data.split"])


def page(client: MlflowClient, recipes: list[Run], tried: list[Run]) -> str:
    """The text of the page before the section about relevance."""
    recipes = newest_of_each_seed(recipes)
    names = {run.info.experiment_id: client.get_experiment(run.info.experiment_id).name for run in recipes}

    def recipe(run: Run) -> str:
        splits = {"official": "official split", "ratios": "60/20/20"}
        return f"`experiment={names[run.info.experiment_id]}`, {splits[split_of(run)]}"

    anchors = [f"| {anchor.name} | {anchor.t2i} | {anchor.i2t} | {anchor.source} |" for anchor in ANCHORS]
    for name, towers in RECIPES.items():
        named = [run for run in recipes if names[run.info.experiment_id] == name and towers]
        ours = [run for run in named if split_of(run) == "official"]
        for split in ("val", "test"):
            if ours and f"{split}/t2i_r10" in metrics_of(ours[0]):
                cells = [" / ".join(spread(ours, f"{split}/{key}", 100) for key in keys)
                         for keys in (RECALLS[:3], RECALLS[3:])]  # fmt: skip
                anchors.append(f"| **`experiment={name}`, {towers}, {split}** | {' | '.join(cells)} | above |")
    parts = [
        "# Results",
        "Written by `python -m scripts.results` from MLflow. R@1 / 5 / 10 in per cent, mean over seeds ± their "
        "standard deviation; minutes of the fastest seed. Definitions: [metrics](python-api.md#metrics).",
        "## Recipes",
        *table(recipes, recipe, "recipe", with_kept=False),
        "The standard deviation shows how much results depend on the seed. These 95 % intervals show how much they "
        "depend on the images in the gallery. Images are drawn with their captions, as in `python -m imtext.evaluate`:",
        intervals(recipes, recipe),
        "## Published anchors",
        "On the official **test** split of 1,000 images. Results of imtext name their split, also of 1,000 images.",
        "\n".join(["| | text → image | image → text | source |", "|---|---|---|---|", *anchors]),
    ]
    if tried:
        parts += [
            "## What was tried",
            "Official split, validation. Rows tagged *prototype* come from a plain loop over the same model and data "
            "on one thread, so their minutes cannot be compared with those of the recipes.",
            *table(tried, lambda run: run.data.tags.get("change", run.info.run_name or ""), "change", with_kept=True),
        ]
    return "\n\n".join(parts) + "\n"


def newest_of_each_seed(runs: list[Run]) -> list[Run]:
    """The newest run of each seed of each recipe.

    Raises:
        SystemExit: runs of one recipe differ in more than their seed, so that their mean would have no meaning.
    """
    kept: dict[tuple[str, str, str], Run] = {}
    for run in runs:
        group = run.info.experiment_id, split_of(run)
        first = next((other for key, other in kept.items() if key[:2] == group), run)
        ours, theirs = recipe_of(run), recipe_of(first)
        for key in sorted({*ours, *theirs}):
            here, there = ours.get(key), theirs.get(key)
            if here != there:
                raise SystemExit(
                    f"error: the runs {first.info.run_id} and {run.info.run_id} of one recipe differ in {key} "
                    f"({there}, {here}). Delete the run that does not belong to it, or repeat it with another "
                    "experiment_name."
                )
        kept[*group, run.data.params["seed"]] = run
    return list(kept.values())


def recipe_of(run: Run) -> dict[str, str]:
    """The settings that define a recipe, including those that a resume changed."""
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
    """A table with the intervals of the first seed of each recipe and split."""
    rows = ["| recipe | measured on | seed | text → image | image → text |", "|---|---|---|---|---|"]
    seen: set[tuple[str, str]] = set()
    for run in runs:
        for split in ("val", "test"):
            key, values = (group(run), split), metrics_of(run)
            if key in seen or f"{split}/t2i_r10_low" not in values:
                continue
            seen.add(key)
            cells = [
                " / ".join(
                    f"{100 * values[f'{split}/{name}_low']:.1f}–{100 * values[f'{split}/{name}_high']:.1f}"
                    for name in names
                )
                for names in (RECALLS[:3], RECALLS[3:])
            ]
            rows.append(f"| {key[0]} | {split} | {run.data.params.get('seed', '?')} | {' | '.join(cells)} |")
    return "\n".join(rows)


def table(runs: Iterable[Run], group: Callable[[Run], str], title: str, with_kept: bool) -> list[str]:
    """A table with one row for each group of runs and each split that was measured."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(group(run), []).append(run)
    last = " kept |" if with_kept else ""
    head = f"| {title} | measured on | seeds | text → image | image → text | MRR t2i / i2t | minutes |{last}"
    rows = [head, "|" + "---|" * (head.count("|") - 1)]
    for name, members in groups.items():
        for split in ("val", "test"):
            if f"{split}/t2i_r10" not in metrics_of(members[0]):
                continue
            gallery = int(metrics_of(members[0]).get(f"{split}/num_images", 1000))
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
    """The manifest of the bundle of the newest run of `flickr8k` on the official split; None without one."""
    for run in reversed(recipes):
        official = split_of(run) == "official"
        named = client.get_experiment(run.info.experiment_id).name == "flickr8k"
        if official and named and client.list_artifacts(run.info.run_id, "bundle"):
            with TemporaryDirectory() as folder:
                path = client.download_artifacts(run.info.run_id, "bundle/manifest.json", folder)
                manifest: dict[str, Any] = json.loads(Path(path).read_text())
                return manifest
    return None


def draw_reliability(calibration: dict[str, Any], path: Path) -> None:
    """Draw the observed share against the predicted relevance, with 95 % intervals (Wilson, 1927)."""
    from matplotlib.figure import Figure

    rows = calibration["reliability"]
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.add_subplot(xlabel="predicted relevance", ylabel="share of correct pictures")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for predicted, observed, count in rows:
        middle = (observed + 1.92 / count) / (1 + 3.84 / count)
        half = 1.96 * math.sqrt(observed * (1 - observed) / count + 0.96 / count**2) / (1 + 3.84 / count)
        axes.plot([predicted, predicted], [middle - half, middle + half], color="#5b5bd6", alpha=0.5)
    axes.plot([row[0] for row in rows], [row[1] for row in rows], "o-", color="#5b5bd6", markersize=4)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure.savefig(path, dpi=110)


def relevance(manifest: dict[str, Any]) -> str:
    """The section about the reliability of the relevance."""
    calibration = manifest["calibration"]
    rows = calibration["reliability"]
    shown = int(sum(count for _, _, count in rows))
    text = (
        f"Measured with the newest `experiment=flickr8k` on {shown:,} results of searches in galleries of 100 "
        "validation pictures. Half of the galleries lack the picture that the query describes. The calibration is "
        "fitted on half of the pictures and measured on the others. The expected calibration error is "
        f"{100 * calibration['error']:.2f} points. Results below {100 * calibration['min_relevance']:.0f} % are not "
        "shown. This keeps the best result of nine in ten queries that have a correct picture, and "
        f"""{100 * calibration["refused"]:.0f} % of the queries without one get "No good match"."""
    )
    table = ["| predicted | observed | results |", "|---|---|---|"]
    table += [f"| {100 * predicted:.1f} % | {100 * seen:.1f} % | {int(count):,} |" for predicted, seen, count in rows]
    parts = ["## Relevance", text, f"![Reliability diagram]({PICTURE})", "\n".join(table)]
    return "\n\n".join(parts) + "\n"


def mean(runs: list[Run], key: str) -> str:
    """The mean of a metric over runs; a dash if it was not measured."""
    values = [float(values[key]) for values in map(metrics_of, runs) if key in values]
    return f"{statistics.mean(values):.3f}" if values else "–"


def spread(runs: list[Run], key: str, scale: float) -> str:
    """The mean of a metric, and its standard deviation if there is more than one run."""
    values = [scale * metrics_of(run)[key] for run in runs]
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def minutes(run: Run) -> float:
    """The minutes that a run took."""
    logged = run.data.metrics.get("minutes")
    return float(logged if logged is not None else (run.info.end_time - run.info.start_time) / 60_000)


if __name__ == "__main__":
    main()
