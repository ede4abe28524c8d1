"""What is measured of a piece of work, and how."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Speed:
    """The speed of some training steps, or of computing features.

    Attributes:
        what: the work.
        images: per second.
        captions: per second.
        waiting: share of the time in which the network waited for the next batch.
        memory: peak resident memory of the process so far, in bytes.
    """

    what: str
    images: float
    captions: float
    waiting: float
    memory: int


def peak_memory(who: int = resource.RUSAGE_SELF) -> int:
    """Peak resident memory in bytes, of this process or (`RUSAGE_CHILDREN`) of the largest that it has started."""
    peak = resource.getrusage(who).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB
