"""Measuring memory."""

from __future__ import annotations

import psutil

from imtext.benchmark.speed import peak_memory


def test_peak_memory_is_in_bytes() -> None:
    assert peak_memory() > 10e6
    assert peak_memory() < psutil.virtual_memory().total
