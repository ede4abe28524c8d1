"""Studies without training, for the tests: queues, and workers in processes of their own."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from imtext.training.sweep.study.locks import locks_of
from imtext.training.sweep.study.queue import Queue


def open_queue(url: str, folder: Path, n_trials: int) -> tuple[optuna.Study, Queue]:
    """The queue of the study `drawn`, which maximises."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    locks = locks_of(url, folder, "drawn")
    with locks.alone():
        storage = RDBStorage(url, {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None)
        study = optuna.create_study(study_name="drawn", storage=storage, direction="maximize", load_if_exists=True)
    return study, Queue(study, locks, n_trials, lambda number: RandomSampler(seed=number))


def suggest(attempt: optuna.Trial) -> float:
    return attempt.suggest_float("x", 0, 1)


def work(url: str, folder: Path, n_trials: int) -> None:
    """A worker whose trials take 20 to 60 ms; it writes a line for each result that counts."""
    _, queue = open_queue(url, folder, n_trials)
    while taken := queue.take(suggest):
        attempt, x = taken
        time.sleep(random.uniform(0.02, 0.06))
        if queue.end(attempt, TrialState.COMPLETE, x, worker=os.getpid()):
            with (folder / "results.txt").open("a") as lines:
                lines.write(f"{attempt.number} {x}\n")
