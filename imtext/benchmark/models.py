"""Models side by side: how fast each indexes pictures and answers a query, and the libraries that they come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from imtext.benchmark.indexing import generate_pictures
from imtext.benchmark.peers import Peer
from imtext.benchmark.searching import QUERY, TOP_K
from imtext.search import Bundle, Encoder, Index
from imtext.search.index.discovery import find
from imtext.search.query import parse_query

ROUNDS, QUERIES = 3, 60


def benchmark_models(
    bundles: Sequence[Bundle], peers: Sequence[Callable[[], Peer]], pictures: Path | None, count: int, seed: int = 0
) -> dict[str, Any]:
    """Index the same pictures with every model, and ask every model the same query.

    Models and peers take turns, so that other load on the machine affects them equally; medians are reported.

    Args:
        bundles: the models.
        peers: other libraries that embed the same pictures, each built when its turn comes first.
        pictures: folder of photos; None generates some.
        count: number of pictures that are indexed in each round.
        seed: seed of generated pictures.

    Returns:
        `models`: for each bundle and peer its `name`, `images_per_second`, `query_ms` (median) and `query_p99_ms`; for
        bundles also `bytes`, `embed_dim`, `image_size` and `parameters`, which are empty if the bundle does not know.
    """
    with TemporaryDirectory(prefix="imtext-benchmark-") as name:
        folder = Path(name)
        if pictures is None:
            pictures = folder / "pictures"
            generate_pictures(pictures, count, seed)
        files = [Path(path) for path in find([str(pictures)]).files][:count]
        entries: list[tuple[dict[str, Any], _Bundle | Peer]] = []
        entries += [(_facts(bundle), _Bundle(bundle, folder / f"model{n}")) for n, bundle in enumerate(bundles)]
        entries += [({"name": (built := peer()).name}, built) for peer in peers]
        images: list[list[float]] = [[] for _ in entries]
        texts: list[list[float]] = [[] for _ in entries]
        for _ in range(ROUNDS):
            for (_, model), speeds in zip(entries, images, strict=True):
                model.prepare()
                started = perf_counter()
                model.embed_files(files)
                speeds.append(len(files) / (perf_counter() - started))
        for _ in range(QUERIES):
            for (_, model), spent in zip(entries, texts, strict=True):
                started = perf_counter()
                model.answer(QUERY)
                spent.append(1000 * (perf_counter() - started))
    rows = [
        {
            **facts, "images_per_second": float(np.median(speeds)), "query_ms": float(np.median(spent[5:])),
            "query_p99_ms": float(np.percentile(spent[5:], 99)),
        }
        for (facts, _), speeds, spent in zip(entries, images, texts, strict=True)
    ]  # fmt: skip
    return {"pictures": len(files), "models": rows}


class _Bundle:
    """A bundle in the same role as a peer: every round fills an empty index, with a model that was loaded before."""

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        self.bundle, self.folder, self.rounds = bundle, folder, 0
        self.encoder = Encoder(bundle)
        side = bundle.preprocess.image_size
        self.encoder.encode_images([np.zeros((side, side, 3), dtype=np.uint8)])
        self.index: Index | None = None

    def prepare(self) -> None:
        self.rounds += 1
        self.index = Index.create(self.folder / str(self.rounds), self.bundle)
        self.index.encoder = self.encoder

    def embed_files(self, files: Sequence[Path]) -> None:
        assert self.index is not None
        report = self.index.update(files=[str(path) for path in files])
        assert report.added + report.copies == len(files), report.refused

    def answer(self, text: str) -> None:
        assert self.index is not None
        self.index.search(parse_query(text), TOP_K, rerank_top_k=0)


def _facts(bundle: Bundle) -> dict[str, Any]:
    return {
        "name": bundle.manifest["name"],
        "path": str(bundle.path),
        "bytes": sum(file["bytes"] for file in bundle.manifest["files"].values()),
        "embed_dim": bundle.embed_dim,
        "image_size": bundle.preprocess.image_size,
        "parameters": bundle.manifest.get("parameters", {}),
    }


def print_models(found: dict[str, Any]) -> None:
    """Print the result of `benchmark_models` as a table."""
    table = Table(
        box=box.SIMPLE_HEAD, title=f"{found['pictures']:,} pictures, one query at a time", title_justify="left"
    )
    for column in ("model", "MB", "pixels", "pictures/s", "query ms", "p99 ms"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for row in found["models"]:
        size = f"{row['bytes'] / 1e6:.0f}" if "bytes" in row else ""
        table.add_row(
            row["name"], size, str(row.get("image_size", "")), f"{row['images_per_second']:.1f}",
            f"{row['query_ms']:.1f}", f"{row['query_p99_ms']:.1f}",
        )  # fmt: skip
    Console().print(table)
