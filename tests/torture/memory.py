"""The memory of a process."""

from __future__ import annotations

import os

import psutil


def resident(process: int | None = None) -> int:
    """Resident memory in bytes, of this process or another."""
    return int(psutil.Process(process or os.getpid()).memory_info().rss)
