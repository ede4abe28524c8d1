"""All benchmarks of speed and size, one after the other."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from imtext.benchmark.indexing import benchmark_index, print_index
from imtext.benchmark.models import benchmark_models, print_models
from imtext.benchmark.page import Bar, Chart, Part
from imtext.benchmark.peers import find_peer
from imtext.benchmark.searching import WHOLE, benchmark_search, print_search
from imtext.benchmark.serving import benchmark_serving, print_serving
from imtext.errors import ImtextError, MissingExtraError, needs
from imtext.search import Bundle

log = logging.getLogger(__name__)

PACKAGES = (
    "imtext", "numpy", "onnxruntime", "torch", "lightning", "faiss-cpu", "usearch", "lancedb", "open_clip_torch",
    "transformers",
)  # fmt: skip

TITLES = {"search": "Search", "serve": "Server", "index": "Indexing", "models": "Models", "train": "Training"}

Measure = Callable[[], dict[str, Any]]


def benchmark_all(bundle: Bundle, overrides: Sequence[str], peers: Sequence[str], quick: bool) -> dict[str, Any]:
    """Run every benchmark of speed and size; what fails or is not installed says so in its place.

    Args:
        bundle: the model that indexes, searches and is served.
        overrides: of the recipe whose training is measured; none: ``experiment=quickstart``.
        peers: other libraries that embed the same pictures, see `find_peer`.
        quick: small galleries and few rounds.

    Returns:
        `machine`: name → fact; `parts`: a `Part` for each benchmark.

    Raises:
        ConfigError: a peer or a setting is unknown.
        MissingExtraError: the library of a peer is not installed.
    """
    facts = machine_facts(bundle.path)  # before there is other load
    for peer in peers:
        find_peer(peer)
    recipe = list(overrides) or ["experiment=quickstart"]
    sizes = [1_000, 100_000] if quick else [1_000, 10_000, 100_000, 1_000_000]
    count, queries, seconds, steps = (100, 40, 5, 3) if quick else (1_000, 300, 20, 20)
    size, rates, unchanged, starts = (1_000, [100], 1_000, 1) if quick else (10_000, [200, 2_000], 100_000, 5)
    _check_recipe(recipe)

    model, named = f"--bundle {bundle.path}", "".join(f" --peer {peer}" for peer in peers)
    parts = [
        _part(
            f"search {model} --queries {queries} --starts {starts} --sizes {' '.join(map(str, sizes))}",
            partial(benchmark_search, bundle, sizes, queries, starts), print_search, _searched,
        ),
        _part(
            f"serve {model} --size {size} --seconds {seconds} --rates {' '.join(map(str, rates))}",
            partial(benchmark_serving, bundle, size, rates, seconds), print_serving, _served,
        ),
        _part(
            f"index {model} --count {count} --unchanged {unchanged}",
            partial(_index, bundle, count, unchanged), print_index, _indexed,
        ),
        _part(
            f"models {bundle.path} --count {count // 5}{named}",
            partial(_models, bundle, peers, count // 5), print_models, _modelled,
        ),
        _part(
            f"train {' '.join(recipe)} --steps {steps}", partial(_train, recipe, steps), _print_train, _trained
        ),
    ]  # fmt: skip
    return {"machine": facts, "parts": parts}


def _index(bundle: Bundle, count: int, unchanged: int) -> dict[str, Any]:
    with needs("train"):
        import torch  # noqa: F401  # of the plain loop
    return benchmark_index(bundle, None, count, unchanged=unchanged)


def _models(bundle: Bundle, peers: Sequence[str], count: int) -> dict[str, Any]:
    return benchmark_models([bundle], [find_peer(peer) for peer in peers], None, count)


def _train(recipe: Sequence[str], steps: int) -> dict[str, Any]:
    with needs("train"):
        from imtext.benchmark.training import benchmark_training
    return benchmark_training(list(recipe), steps)


def _print_train(found: dict[str, Any]) -> None:
    from imtext.benchmark.training import print_training

    print_training(found)


def _check_recipe(overrides: Sequence[str]) -> None:
    """Find a mistake in the settings of the training before the other benchmarks have run."""
    try:
        with needs("train"):
            from imtext.config.compose import check_overrides
    except MissingExtraError:
        return  # its part says so
    check_overrides("train", list(overrides))


def machine_facts(model: Path) -> dict[str, str]:
    """Name → fact of the machine, the load on it, and the versions of what is compared."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.platform(),
        "Python": platform.python_version(),
        "load before": f"{psutil.getloadavg()[0]:.1f} processes in the last minute",
        "packages": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "model": str(model),
    }


def _processor() -> str:
    """Linux names it in a file, other systems by the platform module."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _part(
    command: str,
    measure: Measure,
    show: Callable[[dict[str, Any]], None],
    charts: Callable[[dict[str, Any]], list[Chart]],
) -> Part:
    """Run one benchmark, in a process of its own: memory is that of this benchmark, and no model stays loaded."""
    title = TITLES[command.split()[0]]
    log.info("%s …", title)
    started, command = time.perf_counter(), f"python -m imtext.benchmark {command}"
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            found = process.submit(measure).result()
    except Exception as error:  # the other parts are kept, also if this process was killed for its memory
        log.debug("%s", title, exc_info=True)
        reason = str(error) if isinstance(error, ImtextError) else f"{type(error).__name__}: {error}"
        return Part(title, command, time.perf_counter() - started, f"not measured: {reason}")
    printed = StringIO()
    with redirect_stdout(printed):
        show(found)
    print(printed.getvalue())
    return Part(title, command, time.perf_counter() - started, printed.getvalue(), charts(found), found)


def _searched(found: dict[str, Any]) -> list[Chart]:
    charts = []
    for size in dict.fromkeys(row["size"] for row in found["sizes"]):
        rows = [row for row in found["sizes"] if row["size"] == size and row["method"] != WHOLE]
        bars = [Bar(row["method"], row["p50"], row["method"].startswith("imtext")) for row in rows]
        charts.append(Chart(f"{size:,} vectors of {found['embed_dim']} dimensions", "ms", bars))
    return charts


def _served(found: dict[str, Any]) -> list[Chart]:
    bars = [Bar(f"{row['rate']:,.0f} searches/s", row["p50"] or 0) for row in found["rates"]]
    return [Chart("Median of an answer", "ms", bars)]


def _indexed(found: dict[str, Any]) -> list[Chart]:
    bars = [Bar("imtext", found["images_per_second"]), Bar("plain torch loop", found["plain_per_second"], own=False)]
    return [Chart("Pictures per second", "pictures/s", bars)]


def _modelled(found: dict[str, Any]) -> list[Chart]:
    rows = [(row["name"], "bytes" in row, row) for row in found["models"]]
    speeds = [Bar(name, row["images_per_second"], own) for name, own, row in rows]
    queries = [Bar(name, row["query_ms"], own) for name, own, row in rows]
    return [
        Chart("Pictures per second", "pictures/s", speeds),
        Chart("Median of a query", "ms", queries),
    ]


def _trained(found: dict[str, Any]) -> list[Chart]:
    stages = [speed for speed in found["stages"] if speed.captions]
    bars = [
        *(Bar(speed.what, speed.captions) for speed in stages),
        Bar("plain loop", found["plain"].captions, own=False),
    ]
    return [Chart("Captions per second", "captions/s", bars)]
