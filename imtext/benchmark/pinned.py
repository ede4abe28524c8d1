"""Training steps of a process that is tied to one core: a program of its own, started by `imtext.benchmark.processes`.

``python -m imtext.benchmark.pinned <file> <steps> <override> …`` writes the seconds of each step. `IMTEXT_CORES` lists
the cores of the processes that train together.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, seed_everything
from omegaconf import open_dict

from imtext.benchmark.recipe import now
from imtext.config.compose import compose_config
from imtext.config.schema import check_config
from imtext.training.devices import settle_device
from imtext.training.distributed import is_rank_zero
from imtext.training.run import build_run

WARM_UP = 3  # steps that are not counted


class Clock(Callback):
    """Notes when each step ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *args: Any) -> None:
        """A step is done."""
        self.ends.append(now())


def main() -> None:
    """Run on the core of this process, and let the first one write the result."""
    cores = os.environ["IMTEXT_CORES"].split(",")
    os.sched_setaffinity(0, {int(cores[int(os.environ.get("LOCAL_RANK", "0"))])})
    warnings.filterwarnings("ignore")
    file, steps, *overrides = sys.argv[1:]
    seconds = time_steps(overrides, int(steps))
    if is_rank_zero():
        Path(file).write_text(json.dumps(seconds))


def time_steps(overrides: list[str], steps: int) -> list[float]:
    """Train for some steps, without validation and checkpoints; the seconds of each, with the wait for its batch."""
    config = compose_config("train", overrides)
    config.callbacks, config.logger = None, None
    limits = {"max_epochs": 1_000, "max_steps": steps + WARM_UP, "limit_val_batches": 0}
    with open_dict(config.trainer):
        config.trainer.update({**limits, "enable_checkpointing": False, "enable_progress_bar": False})
    check_config(config)
    settle_device(config.trainer, several=True)
    seed_everything(config.seed, verbose=False)
    run, clock = build_run(config), Clock()
    run.trainer.callbacks.append(clock)  # type: ignore[attr-defined]
    run.trainer.fit(run.module, run.data)
    return [end - start for start, end in zip(clock.ends[WARM_UP - 1 :], clock.ends[WARM_UP:], strict=False)]


if __name__ == "__main__":
    main()
