"""Results as a table for people, and as `metrics.json` and `ranks.jsonl` for scripts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from imtext.evaluation.definitions import EQUAL
from imtext.evaluation.metrics import RetrievalMetrics

POINT = 0.01
TITLES = {"t2i": "text→image", "rerank_t2i": "… re-ranked", "i2t": "image→text"}


def print_results(metrics: Mapping[str, float], title: str) -> None:
    """Print a table of both directions of every split that was measured, with recalls in per cent.

    If images share so many captions that it makes a difference of a point in a recall, a second table counts equal
    captions as right.

    Args:
        metrics: by name, such as `test/t2i_r@10`, as fractions.
        title: what was measured.
    """
    Console().print(_table(metrics, title))
    gains = [value - metrics[name.removesuffix(EQUAL)] for name, value in metrics.items() if name.endswith(EQUAL)
             and "_r@" in name]  # fmt: skip
    if max(gains, default=0) >= POINT:
        Console().print(_table(metrics, "Counting equal captions as right", EQUAL))


def _table(metrics: Mapping[str, float], title: str, ending: str = "") -> Table:
    """The table of metrics whose names have this ending."""
    caption = "R@K in per cent; median rank, 1 is best"
    if any(name.endswith("_low") for name in metrics):
        caption += "; ± is half of a 95 % interval over images"
    depth = max((round(value) for name, value in metrics.items() if name.endswith("/rerank_top_k")), default=0)
    if depth and not ending:
        caption += f"; re-ranked: text→image, top {depth} pictures scored again"
    table = Table(
        title=title,
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
    )
    for column in ("split", "direction", "gallery", "R@1", "R@5", "R@10", "MRR", "median"):
        table.add_column(column, justify="left" if column in ("split", "direction") else "right", no_wrap=True)
    for split in ("train", "val", "test"):
        for direction, name in TITLES.items():
            if f"{split}/{direction}_r@1{ending}" not in metrics:
                continue
            images, captions = (round(metrics[f"{split}/num_{items}"]) for items in ("images", "captions"))
            recalls = [_recall(metrics, f"{split}/{direction}_r@{k}{ending}") for k in (1, 5, 10)]
            gallery = f"{images if direction.endswith('t2i') else captions:,}"
            mrr, median = (metrics[f"{split}/{direction}_{each}{ending}"] for each in ("mrr", "median_rank"))
            table.add_row(split, name, gallery, *recalls, f"{mrr:.3f}", f"{median:.0f}")
    return table


def _recall(metrics: Mapping[str, float], name: str) -> str:
    """A recall in per cent, with half the width of its interval if there is one."""
    half = (metrics.get(f"{name}_high", 0) - metrics.get(f"{name}_low", 0)) / 2
    return f"{100 * metrics[name]:.1f}" + (f" ±{100 * half:.1f}" if half else "")


def write_metrics(metrics: Mapping[str, float], folder: Path) -> Path:
    """Write `metrics.json` into a folder; infinite and undefined values become null.

    Returns:
        The absolute path of the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = (folder / "metrics.json").absolute()
    finite = {name: value if math.isfinite(value) else None for name, value in sorted(metrics.items())}
    path.write_text(json.dumps(finite, indent=2) + "\n")
    return path


def write_ranks(
    path: Path,
    metrics: RetrievalMetrics,
    captions: Sequence[Sequence[str]],
    names: Sequence[str],
    reranked: Tensor | None = None,
) -> None:
    """Write one line of JSON per query: its direction, its image and the rank of its first correct result.

    If images share captions, each line also has the rank that counts equal captions as right.

    Args:
        path: path of the file.
        metrics: holds the embeddings of a split.
        captions: captions of every image of the data set, indexed by `image_id`.
        names: name of every image of the data set, indexed by `image_id`.
        reranked: ``[T]``, ranks of text→image search with a re-ranker; they become the direction `rerank_t2i`.
    """
    _, _, image_id, caption_image_id = metrics.gathered()
    plain, equal = metrics.ranks()
    queries = [text for row in image_id.tolist() for text in captions[row]]
    found = plain if reranked is None else {"t2i": plain["t2i"], "rerank_t2i": reranked, "i2t": plain["i2t"]}
    with path.open("w") as file:
        for direction, ranks in found.items():
            columns = {"rank": ranks.tolist()}
            if equal is not None and direction in equal:
                columns[f"rank{EQUAL}"] = equal[direction].tolist()
            rows = image_id if direction == "i2t" else caption_image_id
            for number, row in enumerate(rows.tolist()):
                line = {"direction": direction, "image": names[row]}
                query = {} if direction == "i2t" else {"query": queries[number]}
                file.write(json.dumps(line | query | {name: each[number] for name, each in columns.items()}) + "\n")
