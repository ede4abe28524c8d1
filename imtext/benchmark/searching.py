"""The time of a query, compared with exact search by other libraries and with the speed of memory."""

from __future__ import annotations

import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from imtext.benchmark.speed import peak_memory
from imtext.errors import ImtextError
from imtext.search.bundle import Bundle
from imtext.search.encoder import Encoder
from imtext.search.facts import Facts
from imtext.search.filters import Filters
from imtext.search.index import Index
from imtext.search.query import parse_query
from imtext.search.store import File, Picture

Floats = npt.NDArray[np.float32]

TOP_K, COLD_SIZE = 10, 100_000
WHOLE = "text → results"
# Shares of the pictures of `filled_index` that pass.
FILTERS = {
    "all": Filters(after="2000-01-01T00:00:00", camera="phone", min_width=1_000, near=(0.0, 0.0), within_km=20_038),
    "half": Filters(after="2020-01-01T00:00:00"),
    "1 in 100": Filters(folder="Holidays"),
}
QUERY = "a brown dog runs along the beach with a ball in its mouth"


def benchmark_search(bundle: Bundle, sizes: list[int], queries: int, starts: int = 5, seed: int = 0) -> dict[str, Any]:
    """Measure exact search over random vectors of the bundle's size, one query at a time.

    All methods answer one query before the next query, so that other load on the machine affects them equally.

    Args:
        bundle: the model.
        sizes: sizes of the galleries.
        queries: number of queries for each size; a quarter of it above 100,000 vectors.
        starts: number of new processes, each of which searches once.
        seed: seed of the random vectors.

    Returns:
        `bandwidth`: memory bandwidth in bytes per second; `encoding`: time to encode a text in milliseconds; `sizes`:
        for each method and size the median and the 99th percentile in milliseconds and the share of the bandwidth;
        `cold`: the time and memory of a new process, and the size of its index on the disk in bytes.
    """
    rng = np.random.default_rng(seed)
    # First, while this process is small: a child's peak memory includes this process's memory at the fork.
    cold = _cold_start(bundle, rng, starts)
    encoder = Encoder(bundle)
    found: dict[str, Any] = {
        "embed_dim": bundle.embed_dim, "cores": os.cpu_count(), "bandwidth": _bandwidth(), "sizes": [],
    }  # fmt: skip
    found["encoding"] = _percentiles([_timed(lambda: encoder.encode_texts([QUERY])) for _ in range(queries)][5:])
    for size in sizes:
        vectors = random_unit(rng, size, bundle.embed_dim)
        with TemporaryDirectory(prefix="imtext-benchmark-") as folder:
            index = filled_index(Path(folder) / "index", bundle, vectors)
            methods: dict[str, Callable[[Floats], object]] = {
                "imtext": partial(index.store.nearest, top_k=TOP_K),
                "imtext --approximate": partial(index.store.nearest, top_k=TOP_K, approximate=True),
                **{
                    f"imtext, {share} passes": partial(index.store.nearest, top_k=TOP_K, filters=filters)
                    for share, filters in FILTERS.items()
                },
                **_others(vectors, Path(folder)),
            }
            times: dict[str, list[float]] = {name: [] for name in (WHOLE, *methods)}
            count = max(30, queries if size <= 100_000 else queries // 4)
            for _ in track(range(count), description=f"Searching {size:,} vectors", transient=True):
                query = random_unit(rng, 1, bundle.embed_dim)
                for name, method in methods.items():
                    times[name].append(_timed(partial(method, query)))
                times[WHOLE].append(_timed(lambda: index.search(parse_query(QUERY), TOP_K, rerank_top_k=0)))  # noqa: B023
            index.store.close()
        for name, spent in times.items():
            row = _percentiles(spent[5:])
            share = vectors.nbytes / (row["p50"] / 1000) / found["bandwidth"]
            found["sizes"].append({"size": size, "method": name, **row, "bandwidth_share": share})
    found["cold"] = cold
    return found


def filled_index(path: Path, bundle: Bundle, vectors: Floats) -> Index:
    """An index with vectors ``[N, embed_dim]``, of pictures that do not exist. Half were taken since 2020."""
    index = Index.create(path, bundle)
    folders = ["Holidays", *(f"folder {number}" for number in range(99))]
    names = [(b"%d" % number, f"/pictures/{folders[number % 100]}/{number}.jpg") for number in range(len(vectors))]
    facts = {
        content: Facts(
            4_000, 3_000, f"{2010 + number % 20}-05-12T14:03:11", "Apple iPhone 12", number % 90, number % 180
        )
        for number, (content, _) in enumerate(names)
    }
    index.store.commit(
        (Picture(content, vector) for (content, _), vector in zip(names, vectors, strict=True)),
        (File(name, 1, 1, content) for content, name in names),
        facts=facts,
    )
    return index


def _others(vectors: Floats, folder: Path) -> dict[str, Callable[[Floats], object]]:
    """Exact search by FAISS, USearch and LanceDB, if they are installed."""
    methods: dict[str, Callable[[Floats], object]] = {}
    try:
        logging.getLogger("faiss").setLevel(logging.WARNING)
        import faiss

        flat = faiss.IndexFlatIP(vectors.shape[1])
        flat.add(vectors)
        methods["FAISS flat"] = lambda query: flat.search(query, TOP_K)
    except ImportError:
        pass
    try:
        from usearch.index import MetricKind, search

        methods["USearch exact"] = lambda query: search(vectors, query, TOP_K, MetricKind.IP, exact=True)
    except ImportError:
        pass
    try:
        import lancedb
        import pyarrow as pa

        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        table = lancedb.connect(str(folder)).create_table("vectors", pa.table({"vector": column}))
        methods["LanceDB flat"] = lambda query: table.search(query[0]).distance_type("dot").limit(TOP_K).to_arrow()
    except ImportError:
        pass
    return methods


def _cold_start(bundle: Bundle, rng: np.random.Generator, starts: int) -> dict[str, Any]:
    """The time of `imtext search` in a new process, with the index in the system's file cache."""
    with TemporaryDirectory(prefix="imtext-benchmark-") as folder:
        path = Path(folder) / "index"
        filled_index(path, bundle, random_unit(rng, COLD_SIZE, bundle.embed_dim)).store.close()
        options = ["--index", str(path), "--min-relevance", "0", "--json"]
        command = [sys.executable, "-m", "imtext", "search", QUERY, *options]

        def run() -> None:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ImtextError(f"imtext search failed: {done.stderr}")

        run()
        seconds = [_timed(run) / 1000 for _ in range(starts)]
        disk = sum(file.stat().st_size for file in path.iterdir() if file.is_file())  # without its copy of the model
    return {
        "size": COLD_SIZE, "seconds": float(np.median(seconds)), "slowest": max(seconds),
        "memory": peak_memory(resource.RUSAGE_CHILDREN), "disk": disk,
    }  # fmt: skip


def _bandwidth(size: int = 512 * 2**20, repeats: int = 5) -> float:
    """The bytes per second that all cores together read from memory, the best of several attempts."""
    block = np.ones(size // 8, dtype=np.int64)
    parts = np.array_split(block, os.cpu_count() or 1)
    with ThreadPoolExecutor(len(parts)) as pool:
        best = min(_timed(lambda: list(pool.map(np.max, parts))) for _ in range(repeats))
    return block.nbytes / (best / 1000)


def random_unit(rng: np.random.Generator, count: int, dim: int) -> Floats:
    """Random vectors ``[count, dim]`` of unit length, which differ mostly along a few numbers, as embeddings do."""
    vectors = rng.standard_normal((count, dim), dtype=np.float32)
    vectors *= 0.97 ** np.arange(dim, dtype=np.float32)  # half of the variance in 11 numbers, as of Flickr8K's photos
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _timed(work: Callable[[], object]) -> float:
    """The milliseconds that some work takes."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def _percentiles(milliseconds: list[float]) -> dict[str, float]:
    return {"p50": float(np.median(milliseconds)), "p99": float(np.percentile(milliseconds, 99))}


def print_search(found: dict[str, Any]) -> None:
    """Print the result of `benchmark_search` as a table."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"One query, top {TOP_K}, {found['embed_dim']} dimensions",
        title_justify="left",
    )
    for column in ("vectors", "method", "p50 ms", "p99 ms", "of memory speed"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for row in found["sizes"]:
        share = f"{100 * row['bandwidth_share']:.0f} %" if row["method"] != WHOLE else ""
        table.add_row(f"{row['size']:,}", row["method"], f"{row['p50']:.2f}", f"{row['p99']:.2f}", share)
    console = Console()
    console.print(table)
    cold, encoding = found["cold"], found["encoding"]
    console.print(
        f"Memory reads {found['bandwidth'] / 1e9:.1f} GB/s with {found['cores']} cores. "
        f"Encoding a text: {encoding['p50']:.1f} ms (p99 {encoding['p99']:.1f})."
    )
    console.print(
        f"imtext search in a new process, {cold['size']:,} pictures: {cold['seconds']:.2f} s "
        f"(slowest {cold['slowest']:.2f}), {cold['memory'] / 1e6:.0f} MB of memory. Their index takes "
        f"{cold['disk'] / 1e6:.0f} MB."
    )
