"""How search grows with the number of vectors: time, memory, disk and what is found, from thousands to millions."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
import psutil
from rich import box
from rich.console import Console
from rich.table import Table

from imtext.benchmark.drawn import TOP_K, drawn_like
from imtext.errors import needs
from imtext.search.store.lance.nearest import nearest
from imtext.search.store.lance.pictures import vector_column
from imtext.search.store.lance.tables import width
from imtext.search.store.lance.upkeep import index_vectors
from imtext.search.store.matrix import Matrix
from imtext.search.store.records import Ids, Vectors
from imtext.search.store.short import principal_axes

log = logging.getLogger(__name__)

BLOCK = 65_536  # vectors drawn at once
WRITTEN = 1_000_000  # vectors written at once
FEW = 20  # queries of exact methods, which find everything anyway
EXACT = ("matrix", "Lance, exact")
APPROXIMATE = ("matrix, approximate", "Lance, index")


def benchmark_scale(
    pictures: Vectors, texts: Vectors, sizes: Sequence[int], exact_up_to: int, folder: Path | None = None, seed: int = 0
) -> dict[str, Any]:
    """Search made-up vectors that lie where pictures lie, by texts, in growing numbers.

    Each method runs in a process of its own, one query at a time. The matrix is what an index in a folder has; the
    tables of Lance are searched as `LanceStore` does, without facts and words.

    Args:
        pictures: ``[B, embed_dim]``, others are drawn with their mean and covariance.
        texts: ``[Q, embed_dim]``, the queries.
        sizes: numbers of vectors, ascending.
        exact_up_to: of more vectors, only the index of Lance is measured.
        folder: for temporary files; None: the system's.
        seed: of the drawn vectors.

    Returns:
        `embed_dim`; and in `rows`, for each size and method: `p50` and `p95` in milliseconds, `cpu`, the median of the
        milliseconds that all cores together work, which other load on the machine hardly changes; `recall`, the share
        of the ten nearest vectors that it finds; `memory` of the process and `disk` in bytes; `build` in seconds, and
        `build_cpu`, those that all cores together work.
    """
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="imtext-scale-", dir=folder) as work:
        made = _Made(Path(work), pictures, texts, np.random.default_rng(seed))
        for size in sizes:
            made.grow(size, keep=size <= exact_up_to)
            for method in EXACT + APPROXIMATE:
                if size > exact_up_to and method != "Lance, index":
                    continue
                row = _measure(made, size, method)
                log.info("%s", row)
                rows.append(row)
    return {"embed_dim": pictures.shape[1], "queries": len(texts), "rows": rows}


class _Made:
    """Vectors in a table of Lance and, as long as there are few, in a file; and the nearest of each query."""

    def __init__(self, work: Path, pictures: Vectors, texts: Vectors, rng: np.random.Generator) -> None:
        with needs("lance"):
            import lancedb
            import pyarrow as pa
        self.work, self.texts, self.dim, self.size = work, texts, pictures.shape[1], 0
        self.file = work / "vectors"
        self.ids, self.scores = np.zeros((len(texts), 0), np.int64), np.zeros((len(texts), 0), np.float32)
        schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float32(), width(self.dim)))])
        self.table = lancedb.connect(str(work)).create_table("vectors", schema=schema)
        self._schema, self._blocks = schema, self._draw(pictures, rng)

    def _draw(self, pictures: Vectors, rng: np.random.Generator) -> Iterator[Vectors]:
        yield pictures
        while True:
            yield drawn_like(pictures, BLOCK, rng)

    def grow(self, size: int, keep: bool) -> None:
        """Write vectors until there are so many."""
        while self.size < size:
            self.table.add(self._reader(min(WRITTEN, size - self.size), keep))
            log.info("%s vectors", f"{self.size:,}")
        if not keep:
            self.file.unlink(missing_ok=True)

    def _reader(self, count: int, keep: bool) -> Any:
        import pyarrow as pa

        def batches() -> Iterator[Any]:
            left = count
            while left:
                block = next(self._blocks)
                self._blocks = _put_back(self._blocks, block[left:])
                block = block[:left]
                left -= len(block)
                yield pa.RecordBatch.from_arrays(
                    [pa.array(np.arange(self.size, self.size + len(block))), vector_column(block)],
                    schema=self._schema,
                )
                self._keep_best(block)
                if keep:
                    with self.file.open("ab") as file:
                        file.write(block.tobytes())
                self.size += len(block)

        return pa.RecordBatchReader.from_batches(self._schema, batches())

    def _keep_best(self, block: Vectors) -> None:
        scores = np.concatenate([self.scores, self.texts @ block.T], axis=1)
        ids = np.concatenate(
            [self.ids, np.broadcast_to(self.size + np.arange(len(block)), (len(self.texts), len(block)))], axis=1
        )
        best = np.argpartition(-scores, TOP_K - 1, axis=1)[:, :TOP_K]
        self.ids, self.scores = np.take_along_axis(ids, best, 1), np.take_along_axis(scores, best, 1)


def _put_back(blocks: Iterator[Vectors], rest: Vectors) -> Iterator[Vectors]:
    if len(rest):
        yield rest
    yield from blocks


def _measure(made: _Made, size: int, method: str) -> dict[str, Any]:
    started, worked = perf_counter(), process_time()
    if method == "Lance, index":
        index_vectors(made.table, size)
    build, build_cpu = perf_counter() - started, process_time() - worked
    queries = made.texts if method in APPROXIMATE else made.texts[:FEW]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found, times, work, memory = pool.submit(_searched, method, made.work, size, queries).result()
    recall = np.mean([len(np.intersect1d(*both)) / TOP_K for both in zip(found, made.ids)])  # noqa: B905
    return {
        "size": size, "method": method, "p50": float(np.median(times)), "p95": float(np.percentile(times, 95)),
        "cpu": float(np.median(work)), "recall": float(recall), "memory": memory, "disk": _disk(made, size, method),
        "build": build, "build_cpu": build_cpu,
    }  # fmt: skip


def _disk(made: _Made, size: int, method: str) -> int:
    """Bytes that the method needs on disk."""
    if method.startswith("matrix"):
        vectors = np.memmap(made.file, np.float32, "r", shape=(size, made.dim))
        axes = 0 if method == "matrix" else principal_axes(vectors).shape[1]
        return int(size * (4 * (made.dim + axes) + 8))
    folder = made.work / "vectors.lance"
    parts = [folder / "data", *([folder / "_indices"] if method == "Lance, index" else [])]
    files = [file for part in parts if part.is_dir() for file in part.rglob("*") if file.is_file()]
    return int(sum(file.stat().st_size for file in files))


def _searched(method: str, work: Path, size: int, queries: Vectors) -> tuple[list[Ids], list[float], list[float], int]:
    """In a new process: what each query finds, the milliseconds and the work of all but the first two, and memory."""
    search = _lance(method, work) if method.startswith("Lance") else _matrix(method, work, size, queries.shape[1])
    found, times, worked = [], [], []
    for query in queries:
        started, before = perf_counter(), process_time()
        found.append(search(query))
        times.append(1000 * (perf_counter() - started))
        worked.append(1000 * (process_time() - before))
    return found, times[2:], worked[2:], psutil.Process().memory_info().rss


def _matrix(method: str, work: Path, size: int, dim: int) -> Callable[[Vectors], Ids]:
    vectors = np.memmap(work / "vectors", np.float32, "r", shape=(size, dim))
    matrix = Matrix.of(0, np.arange(size), vectors)
    return lambda query: matrix.top_k(query[None], TOP_K, approximate=method != "matrix")[0][0]


def _lance(method: str, work: Path) -> Callable[[Vectors], Ids]:
    import lancedb

    table = lancedb.connect(str(work)).open_table("vectors")
    return lambda query: nearest(table, query, TOP_K, "", method == "Lance, index")[0]


def print_scale(found: dict[str, Any]) -> None:
    """Print the result of `benchmark_scale` as a table that fits 80 columns; the plot and the JSON file have more."""
    title = (
        f"Top {TOP_K} of one query, {found['embed_dim']} dimensions: median ms, 95 % of ms, ms of work,\n"
        f"% found of the nearest {TOP_K}, MB of memory, seconds to make the index"
    )
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1, 0, 0))
    for column in ("vectors", "method", "median", "95 %", "work", "found", "memory", "index"):
        table.add_column(column, justify="left" if column == "method" else "right", no_wrap=True)
    for row in found["rows"]:
        times = (f"{ms:,.1f}" if ms < 100 else f"{ms:,.0f}" for ms in (row["p50"], row["p95"], row["cpu"]))
        table.add_row(
            f"{row['size']:,}", row["method"], *times,
            f"{100 * row['recall']:.1f}", f"{row['memory'] / 1e6:,.0f}", f"{row['build']:,.0f}",
        )  # fmt: skip
    Console().print(table)
