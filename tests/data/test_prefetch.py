from __future__ import annotations

import threading
import time

import pytest

from imtext.data.prefetch import prefetch


def test_items_come_in_order_and_few_are_ahead() -> None:
    started: list[int] = []

    def compute(key: int) -> int:
        started.append(key)
        time.sleep(0.001 * (5 - key % 5))  # later keys are often done earlier
        return -key

    items = prefetch(compute, range(100), threads=3)
    assert next(items) == 0
    assert len(started) <= 6
    assert list(items) == [-key for key in range(1, 100)]


def test_an_error_reaches_the_caller_and_no_thread_stays() -> None:
    def compute(key: int) -> int:
        if key == 3:
            raise ValueError("key 3")
        return key

    items = prefetch(compute, range(1000), threads=2)
    with pytest.raises(ValueError, match="key 3"):
        list(items)
    assert not [each for each in threading.enumerate() if each.name.startswith("prefetch")]


def test_a_caller_may_stop_early() -> None:
    items = prefetch(lambda key: key, range(1000), threads=2)
    assert next(items) == 0
    items.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("prefetch")]
