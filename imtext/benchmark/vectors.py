"""What a search loses that compares vectors of fewer bits, and what it gains, among very many pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from omegaconf import OmegaConf
from rich import box
from rich.console import Console
from rich.table import Table

from imtext.benchmark.drawn import TOP_K, drawn_like
from imtext.evaluation.bundle_scores import BundleScores, validation_pairs
from imtext.search import load_bundle, runs_dir
from imtext.search.store.binary import codes_of
from imtext.search.store.exact import BLOCK, best_places
from imtext.search.store.matrix import Matrix
from imtext.search.store.records import Vectors
from imtext.training.checkpoints import find_checkpoint, load_model
from imtext.training.trained_data import build_data

TIMED = 60  # queries of which the time is measured

Search = Callable[[Vectors], npt.NDArray[np.int64]]


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
        `embed_dim`; and in `rows`, for each size and method: `bytes` of a picture, `r@10`, `recall`, the share of the
        ten nearest vectors that it finds, and `milliseconds` of a query, NaN if it is a calculation only.
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
        mean = vectors.mean(axis=0)
        matrix = Matrix(0, np.arange(len(vectors)), vectors, mean, codes_of(vectors, mean))
        exact = None
        for name, bits, search, timed in _methods(matrix):
            found = np.stack([search(query[None]) for query in scores.texts])
            exact = found if exact is None else exact
            rows.append(
                {
                    "size": len(vectors),
                    "method": name,
                    "bytes": opened.embed_dim * bits / 8,
                    "r@10": float((found == answers[chosen][:, None]).any(axis=1).mean()),
                    "recall": float(np.mean([len(np.intersect1d(*both)) / TOP_K for both in zip(found, exact)])),  # noqa: B905
                    "milliseconds": _median_time(search, scores.texts) if timed else float("nan"),
                }
            )
    return {"embed_dim": opened.embed_dim, "queries": len(chosen), "rows": rows}


def _methods(matrix: Matrix) -> list[tuple[str, int, Search, bool]]:
    """Name, bits of each number that a query reads, search, and whether this is how imtext would do it."""
    scale = np.abs(matrix.vectors).max() / 127
    rounded = np.rint(matrix.vectors / scale).astype(np.int8)

    def search_int8(query: Vectors) -> npt.NDArray[np.int64]:
        parts = [rounded[start : start + BLOCK] @ query[0] for start in range(0, len(rounded), BLOCK)]
        return best_places(np.concatenate(parts), TOP_K)

    return [
        ("exact", 32, lambda query: matrix.top_k(query, TOP_K)[0][0], True),
        ("approximate", 1, lambda query: matrix.top_k(query, TOP_K, approximate=True)[0][0], True),
        ("8 bits", 8, search_int8, False),
    ]


def _median_time(search: Search, queries: Vectors) -> float:
    """The median milliseconds of a query."""
    spent = []
    for query in queries[:TIMED]:
        started = perf_counter()
        search(query[None])
        spent.append(1000 * (perf_counter() - started))
    return float(np.median(spent))


def print_vectors(found: dict[str, Any]) -> None:
    """Print the result of `benchmark_vectors` as a table."""
    title = f"{found['queries']:,} captions, one at a time, {found['embed_dim']} dimensions"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for column in ("vectors", "method", "bytes", "R@10", "nearest 10", "query ms"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for row in found["rows"]:
        table.add_row(
            f"{row['size']:,}", row["method"], f"{row['bytes']:,.0f}", f"{100 * row['r@10']:.1f}",
            f"{100 * row['recall']:.1f} %", "" if np.isnan(row["milliseconds"]) else f"{row['milliseconds']:.1f}",
        )  # fmt: skip
    Console().print(table)
