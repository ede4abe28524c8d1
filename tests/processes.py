"""Processes that train together, for the tests: started from one that has imported what they need."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

IMPORTS = ["imtext.training.module"]


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


def _join(number: int, count: int, store: str, work: Callable[..., None], folder: Path, *args: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=number, world_size=count)
    try:
        work(number, folder, *args)
    finally:
        dist.destroy_process_group()
