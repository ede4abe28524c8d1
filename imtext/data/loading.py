"""Settings of data loaders that depend on the device."""

from __future__ import annotations

import os
from typing import Any, Literal

import torch
from lightning.pytorch import Trainer

WORKERS = 4  # `auto` on an accelerator


def loader_settings(trainer: Trainer | None, num_workers: int | Literal["auto"]) -> dict[str, Any]:
    """Number of workers, and whether batches are prepared for copying to a GPU.

    Args:
        trainer: knows the device; without one it is the CPU.
        num_workers: `auto` is none on a CPU, where they would compete with training.
    """
    on_cpu = trainer is None or trainer.strategy.root_device.type == "cpu"
    automatic = 0 if on_cpu else min(WORKERS, os.cpu_count() or 1)
    workers = automatic if num_workers == "auto" else num_workers
    return {"num_workers": workers, "pin_memory": torch.cuda.is_available() and not on_cpu}
