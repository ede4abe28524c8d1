"""Results for people (a table) and for scripts (metrics.json)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

DIRECTIONS = {"t2i": "text→image", "i2t": "image→text"}


def print_results(metrics: Mapping[str, float], title: str) -> None:
    """Print recalls per cent, both directions of every split that was measured.

    Args:
        metrics: by name, such as `test/t2i_r@10`, as fractions.
        title: what was measured.
    """
    table = Table(
        title=title,
        title_justify="left",
        caption="R@K in per cent; median rank, 1 is best"
        + ("; ± is half of a 95 % interval over images" if any(name.endswith("_low") for name in metrics) else ""),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
    )
    for column in ("split", "direction", "gallery", "R@1", "R@5", "R@10", "MRR", "median"):
        table.add_column(column, justify="left" if column in ("split", "direction") else "right", no_wrap=True)
    for split in ("train", "val", "test"):
        for direction, name in DIRECTIONS.items():
            if f"{split}/{direction}_r@1" not in metrics:
                continue
            images, captions = (round(metrics[f"{split}/num_{items}"]) for items in ("images", "captions"))
            figures = [_recall(metrics, f"{split}/{direction}_r@{k}") for k in (1, 5, 10)]
            gallery = f"{images if direction == 't2i' else captions:,}"
            mrr, median = metrics[f"{split}/{direction}_mrr"], metrics[f"{split}/{direction}_median_rank"]
            table.add_row(split, name, gallery, *figures, f"{mrr:.3f}", f"{median:.0f}")
    Console().print(table)


def _recall(metrics: Mapping[str, float], name: str) -> str:
    spread = (metrics.get(f"{name}_high", 0) - metrics.get(f"{name}_low", 0)) / 2
    return f"{100 * metrics[name]:.1f}" + (f" ±{100 * spread:.1f}" if spread else "")


def write_metrics(metrics: Mapping[str, float], folder: Path) -> Path:
    """Write `metrics.json` into a folder and return its absolute path; what is not a number becomes null."""
    folder.mkdir(parents=True, exist_ok=True)
    path = (folder / "metrics.json").absolute()
    finite = {name: value if math.isfinite(value) else None for name, value in sorted(metrics.items())}
    path.write_text(json.dumps(finite, indent=2) + "\n")
    return path
