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

from imtext.evaluation.metrics import RetrievalMetrics
from imtext.evaluation.ranks import retrieval_ranks

TITLES = {"t2i": "text→image", "rerank_t2i": "… re-ranked", "i2t": "image→text"}


def print_results(metrics: Mapping[str, float], title: str) -> None:
    """Print a table of both directions of every split that was measured, with recalls in per cent.

    Args:
        metrics: by name, such as `test/t2i_r@10`, as fractions.
        title: what was measured.
    """
    caption = "R@K in per cent; median rank, 1 is best"
    if any(name.endswith("_low") for name in metrics):
        caption += "; ± is half of a 95 % interval over images"
    if depth := max((round(value) for name, value in metrics.items() if name.endswith("/rerank_top_k")), default=0):
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
            if f"{split}/{direction}_r@1" not in metrics:
                continue
            images, captions = (round(metrics[f"{split}/num_{items}"]) for items in ("images", "captions"))
            recalls = [_recall(metrics, f"{split}/{direction}_r@{k}") for k in (1, 5, 10)]
            gallery = f"{images if direction.endswith('t2i') else captions:,}"
            mrr, median = metrics[f"{split}/{direction}_mrr"], metrics[f"{split}/{direction}_median_rank"]
            table.add_row(split, name, gallery, *recalls, f"{mrr:.3f}", f"{median:.0f}")
    Console().print(table)


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

    Args:
        path: path of the file.
        metrics: holds the embeddings of a split.
        captions: captions of every image of the data set, indexed by `image_id`.
        names: name of every image of the data set, indexed by `image_id`.
        reranked: ``[T]``, ranks of text→image search with a re-ranker; they become the direction `rerank_t2i`.
    """
    images, texts, image_id, caption_image_id = metrics.gathered()
    ranks = {name: rank.tolist() for name, rank in retrieval_ranks(images, texts, image_id, caption_image_id).items()}
    queries = [text for row in image_id.tolist() for text in captions[row]]
    by_text = {"t2i": ranks["t2i"]} | ({} if reranked is None else {"rerank_t2i": reranked.tolist()})
    with path.open("w") as file:
        for direction, found in by_text.items():
            for query, row, rank in zip(queries, caption_image_id.tolist(), found, strict=True):
                line = {"direction": direction, "image": names[row], "query": query, "rank": rank}
                file.write(json.dumps(line) + "\n")
        for row, rank in zip(image_id.tolist(), ranks["i2t"], strict=True):
            file.write(json.dumps({"direction": "i2t", "image": names[row], "rank": rank}) + "\n")
