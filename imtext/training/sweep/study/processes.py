"""The workers that one command starts: the same command, in processes of their own."""

from __future__ import annotations

import logging
import multiprocessing
import os
import runpy
import signal
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

log = logging.getLogger(__name__)
PARENT = "IMTEXT_STUDY_PARENT"  # in the environment of a worker: the number of the process that started it
PROGRAM = "imtext.sweep"
# Importing torch and Lightning takes longer than many a trial: on Linux one process imports them and forks the workers.
HEAVY = ["imtext.training.sweep.study.worker"]
METHOD = "forkserver" if sys.platform == "linux" else "spawn"


def is_worker() -> bool:
    """Whether this process was started by another command, which reports."""
    return PARENT in os.environ


def is_orphan() -> bool:
    """Whether the command that started this worker was killed; then the worker ends after its trial."""
    return is_worker() and not psutil.pid_exists(int(os.environ[PARENT]))


def run_workers(count: int, folder: Path) -> None:
    """Start workers with the command line of this process, and wait for all of them.

    Ctrl-C is for the command alone, which passes it on once.

    Args:
        count: workers to start.
        folder: of this run; each worker gets one in it.

    Raises:
        KeyboardInterrupt: stopped by Ctrl-C, after the workers have ended.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    context: Any = multiprocessing.get_context(METHOD)
    workers: list[BaseProcess] = []
    context.set_forkserver_preload(HEAVY)
    try:
        for number, device in enumerate(devices_of(count), 1):
            place = str(folder / f"worker_{number}").replace("'", r"\'")
            arguments = [*sys.argv[1:], "sweep.workers=1", f"hydra.run.dir='{place}'"]
            worker = context.Process(target=_run, args=(arguments, os.getpid(), device), name=f"worker {number}")
            worker.start()
            workers.append(worker)
        log.info("%d workers: processes %s", count, ", ".join(str(worker.pid) for worker in workers))
        _wait(workers)
    except KeyboardInterrupt:
        for worker in workers:
            if worker.is_alive():
                os.kill(worker.pid or 0, signal.SIGINT)
        _wait(workers)
        raise
    for worker in workers:
        if (code := worker.exitcode or 0) < 0:
            log.warning("%s was killed: %s", worker.name.capitalize(), signal.Signals(-code).name)


def devices_of(count: int) -> list[str | None]:
    """The CUDA device of each worker, in turn; None leaves it to the trainer."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        names = [str(number) for number in range(torch.cuda.device_count())]
    else:
        names = [name for name in visible.split(",") if name]
    return [names[number % len(names)] if len(names) > 1 else None for number in range(count)]


def _wait(workers: list[BaseProcess]) -> None:
    for worker in workers:
        worker.join()


def _run(arguments: list[str], parent: int, device: str | None) -> None:
    """The life of a worker: the command, as `python -m imtext.sweep` would run it."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C is for the command alone
    os.environ[PARENT] = str(parent)
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    sys.argv[1:] = arguments
    runpy.run_module(PROGRAM, run_name="__main__", alter_sys=True)
