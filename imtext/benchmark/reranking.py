"""The time and the space of a second look: queries without a re-ranker, with stored grids, with grids from files."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from imtext.benchmark.indexing import generate_pictures
from imtext.benchmark.searching import QUERY, TOP_K
from imtext.errors import BundleError
from imtext.search import Bundle, Index, parse_query

CANDIDATES = (10, 50, 100)


def benchmark_rerank(
    bundle: Bundle, pictures: Path | None, count: int, queries: int = 100, seed: int = 0
) -> dict[str, Any]:
    """Measure one query at a time, from the text to the results.

    Args:
        bundle: a model with a re-ranker.
        pictures: folder of photos; None generates some.
        count: number of generated pictures.
        queries: number of queries; a tenth of it where files are read.
        seed: random seed of the generated pictures.

    Returns:
        `rows`: for each way and number of candidates the median and the 99th percentile in milliseconds; `bytes`: for
        each way the size of the rows of the index for one picture.

    Raises:
        BundleError: the bundle has no re-ranker.
    """
    if bundle.reranker is None:
        raise BundleError(f"{bundle.path} has no re-ranker. To train one: python -m imtext.rerank ckpt_path=best")
    rows: list[dict[str, Any]] = []
    sizes = {}
    with TemporaryDirectory(prefix="imtext-benchmark-") as name:
        folder = Path(name)
        if pictures is None:
            pictures = folder / "pictures"
            generate_pictures(pictures, count, seed)
        for way, stored in (("stored", True), ("from files", False)):
            index = Index.create(folder / way, bundle)
            index.update([str(pictures)], grids=stored)
            for candidates in (0, *CANDIDATES) if stored else CANDIDATES:
                few = queries if stored else max(5, queries // 10)
                spent = [_search(index, candidates) for _ in range(few + 3)][3:]
                row = {"p50": float(np.median(spent)), "p99": float(np.percentile(spent, 99))}
                rows.append({"way": way if candidates else "no re-ranker", "candidates": candidates, **row})
            total = len(index)
            index.close()  # the write-ahead log is now part of the file
            sizes[way] = (folder / way / "index.sqlite").stat().st_size / total
    return {"pictures": total, "rows": rows, "bytes": sizes}


def _search(index: Index, candidates: int) -> float:
    """The milliseconds of a search."""
    started = time.perf_counter()
    index.search(parse_query(QUERY), TOP_K, rerank_top_k=candidates)
    return 1000 * (time.perf_counter() - started)


def print_rerank(found: dict[str, Any]) -> None:
    """Print the result of `benchmark_rerank`."""
    print(f"{found['pictures']:,} pictures, one query, top {TOP_K}; milliseconds from text to results")
    for row in found["rows"]:
        print(
            f"{row['way']:<13} {row['candidates']:>4} candidates: {row['p50']:7.1f} (99th percentile {row['p99']:.1f})"
        )
    stored, plain = found["bytes"]["stored"], found["bytes"]["from files"]
    print(f"Index: {plain / 1000:.1f} kB a picture, {stored / 1000:.1f} kB with stored grids")
