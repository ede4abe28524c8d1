"""What a search loses that compares short vectors first, and what it gains, among very many pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from rich import box
from rich.console import Console
from rich.table import Table

from imtext.benchmark.drawn import TOP_K, drawn_like
from imtext.evaluation.bundle_scores import BundleScores, validation_pairs
from imtext.search import load_bundle, runs_dir
from imtext.search.store.exact import Places
from imtext.search.store.matrix import Matrix
from imtext.training.checkpoints import find_checkpoint, load_model
from imtext.training.trained_data import build_data


def benchmark_vectors(run: Path, bundle: Path, sizes: Sequence[int], queries: int, seed: int = 0) -> dict[str, Any]:
    """Search the validation pictures of a run by their captions, hidden among very many other vectors.

    The others are drawn from a normal distribution with the mean and covariance of the pictures, so that they lie where
    pictures lie, and are as hard to tell from them.

    Args:
        run: a run; its data are used.
        bundle: its bundle, or a smaller one.
        sizes: numbers of vectors to search.
        queries: number of captions.
        seed: of the drawn vectors and of the choice of captions.

    Returns:
        `embed_dim`; and in `rows`, for each size and method: `bytes` that a query reads of each picture, `r@10`,
        `recall`, the share of the ten nearest vectors that it finds, and medians of a query: `milliseconds` on the
        clock and of the `processor`, to which other work on the machine adds little.
    """
    opened = load_bundle(bundle)
    trained = load_model(find_checkpoint(str(run), runs_dir()))
    pixels, captions, answers = validation_pairs(build_data(OmegaConf.create({}), trained))
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(captions))[:queries]
    scores = BundleScores.of(opened, pixels, [captions[number] for number in chosen])
    rows = []
    for size in sizes:
        vectors = np.concatenate([scores.images, drawn_like(scores.images, max(0, size - len(pixels)), rng)])[:size]
        matrix = Matrix.of(0, np.arange(len(vectors)), vectors)
        reads = {"exact": 4 * opened.embed_dim, "approximate": 4 * (matrix.axes.shape[1] or opened.embed_dim)}
        found: dict[str, list[Places]] = {name: [] for name in reads}
        spent: dict[str, list[float]] = {name: [] for name in reads}
        processor: dict[str, list[float]] = {name: [] for name in reads}
        for query in scores.texts:
            for name in reads:  # in turns, so that both are measured beside the same other work
                started, used = perf_counter(), process_time()
                places, _ = matrix.top_k(query[None], TOP_K, approximate=name == "approximate")
                spent[name].append(1000 * (perf_counter() - started))
                processor[name].append(1000 * (process_time() - used))
                found[name].append(places[0])
        for name, read in reads.items():
            same = [len(np.intersect1d(*both)) / TOP_K for both in zip(found[name], found["exact"], strict=True)]
            hit = (np.stack(found[name]) == answers[chosen][:, None]).any(axis=1)
            rows.append(
                {
                    "size": len(vectors), "method": name, "bytes": read, "r@10": float(hit.mean()),
                    "recall": float(np.mean(same)), "milliseconds": float(np.median(spent[name])),
                    "processor": float(np.median(processor[name])),
                }
            )  # fmt: skip
    return {"embed_dim": opened.embed_dim, "queries": len(chosen), "rows": rows}


def print_vectors(found: dict[str, Any]) -> None:
    """Print the result of `benchmark_vectors` as a table."""
    title = f"{found['queries']:,} captions, one at a time, {found['embed_dim']} dimensions"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for column in ("vectors", "method", "bytes", "R@10", "nearest 10", "query ms", "processor ms"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for row in found["rows"]:
        table.add_row(
            f"{row['size']:,}", row["method"], f"{row['bytes']:,.0f}", f"{100 * row['r@10']:.1f}",
            f"{100 * row['recall']:.1f} %", f"{row['milliseconds']:.1f}", f"{row['processor']:.1f}",
        )  # fmt: skip
    Console().print(table)
