"""How much is tortured: a little in every run of the tests, all of it by `make test-torture`."""

from __future__ import annotations

import os
import time
from pathlib import Path

WHOLE = bool(os.environ.get("IMTEXT_TORTURE"))
FIGURES = Path("build/torture.txt")


def amount(little: int, whole: int) -> int:
    """A number of attempts."""
    return whole if WHOLE else little


def write_down(line: str) -> None:
    """Add to the figures what was tried, and how it ended; only if it was all of it."""
    if WHOLE:
        FIGURES.parent.mkdir(exist_ok=True)
        with FIGURES.open("a") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M')}  {line}\n")
