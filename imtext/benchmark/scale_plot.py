"""The growth of search with the vectors of a run, as a table and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from imtext.benchmark.scale import benchmark_scale, print_scale
from imtext.errors import ConfigError
from imtext.evaluation.bundle_scores import BundleScores, validation_pairs
from imtext.search import load_bundle, runs_dir
from imtext.training.checkpoints import find_checkpoint, load_model
from imtext.training.projection import axes_to_keep
from imtext.training.trained_data import build_data

PANELS = (
    ("cpu", "work of a query (ms, all cores)", 1.0),
    ("memory", "memory of the process (MB)", 1e-6),
    ("recall", "share of the nearest 10", 1.0),
)


def benchmark_run(
    run: Path, dim: int, sizes: Sequence[int], exact_up_to: int, queries: int, folder: Path | None = None, seed: int = 0
) -> dict[str, Any]:
    """`benchmark_scale` with the validation pictures and captions of a run, in fewer numbers as `imtext export --dim`.

    Raises:
        ConfigError: the sizes do not ascend.
    """
    if list(sizes) != sorted(set(sizes)):
        raise ConfigError(f"--sizes must ascend, not {' '.join(map(str, sizes))}")
    trained = load_model(find_checkpoint(str(run), runs_dir()))
    pixels, captions, _ = validation_pairs(build_data(OmegaConf.create({}), trained))
    chosen = np.random.default_rng(seed).permutation(len(captions))[:queries]
    scores = BundleScores.of(load_bundle(run), pixels, [captions[number] for number in chosen])
    images, texts = scores.images, scores.texts
    if dim < images.shape[1]:
        axes = axes_to_keep(images, texts, dim)
        images, texts = images @ axes, texts @ axes
        images, texts = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (images, texts))
    return benchmark_scale(images, texts, sizes, exact_up_to, folder, seed)


def print_and_plot(found: dict[str, Any], path: Path | None) -> None:
    """Print the table and, if there is a path, draw the plot."""
    print_scale(found)
    if path is not None:
        plot_scale(found, path)
        print(f"Plot: {path.absolute()}")


def plot_scale(found: dict[str, Any], path: Path) -> None:
    """Draw what `benchmark_scale` has measured, a line for each method."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    for axes, (key, title, unit) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        for method in dict.fromkeys(row["method"] for row in found["rows"]):
            rows = [row for row in found["rows"] if row["method"] == method]
            axes.plot([row["size"] for row in rows], [unit * row[key] for row in rows], "o-", label=method)
        axes.set_xscale("log")
        if key != "recall":
            axes.set_yscale("log")
        axes.set(title=title, xlabel=f"vectors of {found['embed_dim']} numbers")
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    figure.savefig(path, dpi=100)
