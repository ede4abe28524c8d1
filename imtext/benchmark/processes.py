"""The time of training in several processes, compared with one process and the same batch."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from imtext.config.compose import compose_config
from imtext.errors import ImtextError

FRESH = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # of processes that train together


def benchmark_processes(overrides: list[str], count: int, steps: int, repeats: int) -> dict[str, Any]:
    """Time the steps of a recipe in one process and in several, in turns; each process is tied to a core of its own.

    The several processes have batches of `data.batch_size`, the one process has a batch of the same pictures.

    Args:
        overrides: overrides of the recipe's configuration.
        count: number of processes, one for each core.
        steps: number of steps to measure in each run.
        repeats: number of runs of each kind.

    Returns:
        `one` and `several`: seconds of the steps of each run; `ratios`: of a run in several processes to the one
        before it; `ratio`, their median; `processes`, `steps` and `pictures` of a step.

    Raises:
        ImtextError: the system cannot tie processes to cores, there are too few, or a run failed.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if not 2 <= count <= len(cores):
        raise ImtextError(f"--processes {count}: take 2 to {len(cores)}, one for each core (Linux only)")
    size = int(compose_config("train", overrides).data.batch_size)
    together = ["trainer=ddp", "trainer.accelerator=cpu", f"trainer.devices={count}", f"data.batch_size={size}"]
    alone = ["trainer=cpu", f"data.batch_size={count * size}"]
    found: dict[str, list[float]] = {"one": [], "several": []}
    with TemporaryDirectory(prefix="imtext-benchmark-") as folder:
        paths = [f"paths.output_dir={folder}", f"data.cache_dir={folder}"]
        for _ in track(range(repeats), description="Training", transient=True):
            for name, settings in (("one", alone), ("several", together)):
                found[name].append(_run([*overrides, *settings, *paths], steps, cores[:count], Path(folder)))
    ratios = [several / one for one, several in zip(found["one"], found["several"], strict=True)]
    facts = {"processes": count, "steps": steps, "pictures": count * size}
    return {**found, **facts, "ratios": ratios, "ratio": statistics.median(ratios)}


def _run(overrides: list[str], steps: int, cores: list[int], folder: Path) -> float:
    """Seconds of the measured steps."""
    file = folder / "seconds.json"
    kept = {name: value for name, value in os.environ.items() if name not in FRESH}
    environment = {**kept, "IMTEXT_CORES": ",".join(map(str, cores)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "imtext.benchmark.pinned", str(file), str(steps), *overrides]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImtextError(
            f"The training failed: {done.stderr.strip().splitlines()[-1] if done.stderr else 'no output'}"
        )
    return float(sum(json.loads(file.read_text())))


def print_processes(found: dict[str, Any]) -> None:
    """Print the result of `benchmark_processes` as a table."""
    title = f"{found['steps']} training steps of {found['pictures']} pictures, one core for each process"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for column in ("processes", "median s", "fastest s", "slowest s"):
        table.add_column(column, justify="right")
    for count, name in ((1, "one"), (found["processes"], "several")):
        seconds = found[name]
        numbers = (statistics.median(seconds), min(seconds), max(seconds))
        table.add_row(str(count), *(f"{number:.2f}" for number in numbers))
    console = Console()
    console.print(table)
    console.print(
        f"Time of {found['processes']} processes: {100 * found['ratio']:.0f} % of that of one (median; "
        f"{100 * min(found['ratios']):.0f} to {100 * max(found['ratios']):.0f} % in {len(found['ratios'])} pairs)"
    )
