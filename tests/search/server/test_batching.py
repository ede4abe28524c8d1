"""Load: requests are batched, and refused when the queue is full."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from imtext.search.server.batching import Batcher, BusyError
from tests.search.server.conftest import Server


@pytest.mark.slow
def test_too_many_are_refused_at_once_and_the_rest_answered(server: Server) -> None:
    def ask(number: int) -> requests.Response:
        return server.get("/search", params={"q": f"a red circle {'and a star ' * 20} {number}"})

    with ThreadPoolExecutor(80) as pool:
        answers = list(pool.map(ask, range(400)))
    assert {one.status_code for one in answers} <= {200, 503}
    assert sum(one.status_code == 200 for one in answers) > 50
    refused = [one for one in answers if one.status_code == 503]
    assert refused
    assert all(one.headers["retry-after"] == "1" for one in refused)
    assert server.get("/search?q=red").ok


def test_single_requests_run_at_once_and_others_together() -> None:
    release, batches = threading.Event(), []

    def work(batch: Sequence[int]) -> list[int | Exception]:
        batches.append(list(batch))
        release.wait(5)
        return [ValueError("odd") if one % 2 else 10 * one for one in batch]

    async def run() -> tuple[list[int | BaseException], int]:
        batcher = Batcher(work, max_batch=4, max_waiting=6)
        first = asyncio.create_task(batcher.submit(0))
        await asyncio.sleep(0.05)  # it is being processed; later requests wait
        others = [asyncio.create_task(batcher.submit(number)) for number in range(1, 9)]
        await asyncio.sleep(0.05)
        others[1].cancel()  # the client has disconnected
        release.set()
        answers = await asyncio.gather(first, *others, return_exceptions=True)
        batcher.close()
        return answers, batcher.waiting

    answers, waiting = asyncio.run(run())
    assert batches == [[0], [1, 3, 4, 5], [6]]
    assert (answers[0], answers[4], answers[6], waiting) == (0, 40, 60, 0)
    assert isinstance(answers[2], asyncio.CancelledError)
    assert [type(answers[place]) for place in (1, 3, 5)] == [ValueError] * 3
    assert [type(answers[place]) for place in (7, 8)] == [BusyError] * 2


def test_a_failing_batch_fails_only_its_own_requests() -> None:
    def work(batch: Sequence[int]) -> list[int | Exception]:
        raise RuntimeError("broken")

    async def run() -> None:
        batcher = Batcher(work, 4, 4)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="broken"):
                await batcher.submit(1)

    asyncio.run(run())
