"""Compute items ahead in threads, in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")

MOST_THREADS = 8


def prefetch(
    compute: Callable[[Key], Item], keys: Iterable[Key], threads: int | None = None
) -> Generator[Item, None, None]:
    """What `map(compute, keys)` gives, computed ahead in threads while the caller uses earlier items.

    At most two items for each thread are ahead, so memory is bounded. `compute` must be safe to call in threads.

    Args:
        compute: called once for each key.
        keys: in the order of the items.
        threads: None for as many as there are cores, at most 8.
    """
    threads = threads or min(MOST_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads, thread_name_prefix="prefetch") as pool:
        waiting: deque[Future[Item]] = deque()
        try:
            for key in keys:
                waiting.append(pool.submit(compute, key))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()
