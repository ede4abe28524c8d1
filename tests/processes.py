"""Processes that train together, for the tests: started from one that has imported what they need."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from imtext.config.compose import compose_config
from imtext.train import train

IMPORTS = ["imtext.training.run", "imtext.models.timm_encoder"]


def run_together(count: int, work: Callable[..., None], folder: Path, *args: Any) -> None:
    """Call ``work(number, folder, *args)`` in so many processes of one group, each with one thread.

    New processes import torch and Lightning for seconds each, on a busy machine for a minute. A fork server imports
    them once.
    """
    multiprocessing.set_forkserver_preload(IMPORTS)
    store = folder / f"store_{len(list(folder.iterdir()))}"
    torch.multiprocessing.start_processes(  # type: ignore[no-untyped-call,attr-defined]
        _join, (count, str(store), work, folder, *args), nprocs=count, start_method="forkserver"
    )


def train_together(folder: Path, runs: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[dict[str, float], int]]]:
    """Train in two processes, as torchrun starts them, one run after the other.

    Args:
        folder: for all runs, see `paths`.
        runs: overrides of each run, by its name.

    Returns:
        For each run the metrics of each process, and the number of parameters that it holds.
    """
    run_together(2, _train, folder, dict(runs))
    return {name: [torch.load(folder / f"{name}{number}.pt") for number in range(2)] for name in runs}


def paths(folder: Path, name: str) -> list[str]:
    """Overrides with which a run is written to ``folder/runs/name``."""
    return [f"paths.root={folder}", f"paths.cache_dir={folder / 'cache'}", f"paths.output_dir={folder / 'runs' / name}"]


def _join(number: int, count: int, store: str, work: Callable[..., None], folder: Path, *args: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=number, world_size=count)
    try:
        work(number, folder, *args)
    finally:
        dist.destroy_process_group()


def _train(number: int, folder: Path, runs: Mapping[str, Sequence[str]]) -> None:
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "GROUP_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    for name, overrides in runs.items():
        metrics, objects = train(compose_config("train", [*overrides, *paths(folder, name)]))
        own = [each.to_local() if isinstance(each, DTensor) else each for each in objects["module"].parameters()]
        torch.save((metrics, sum(each.numel() for each in own)), folder / f"{name}{number}.pt")
