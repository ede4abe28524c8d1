"""Speed and memory of a piece of work."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Speed:
    """The speed of some training steps, or of computing features.

    Attributes:
        what: name of the work.
        images: images per second.
        captions: captions per second.
        waiting: share of the time that the network waited for the next batch.
        memory: peak resident memory of the process so far, in bytes.
    """

    what: str
    images: float
    captions: float
    waiting: float
    memory: int


def peak_memory(who: int = resource.RUSAGE_SELF) -> int:
    """Peak resident memory in bytes, of this process or (`RUSAGE_CHILDREN`) of its largest child process."""
    peak = resource.getrusage(who).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB
