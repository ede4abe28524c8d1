"""Opportunistic batching: what arrives while a batch is being worked on makes the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class BusyError(Exception):
    """As many wait already as may."""


class Batcher(Generic[Asked, Answer]):
    """Runs one function in one thread, over as many requests at a time as have come.

    Nobody waits for company: a single request is worked on at once, and only under load do batches grow.

    Args:
        work: requests → an answer or an exception for each, in order.
        max_batch: requests of one call at most.
        max_waiting: requests that may wait for the next call.
    """

    def __init__(
        self, work: Callable[[Sequence[Asked]], Sequence[Answer | Exception]], max_batch: int, max_waiting: int
    ) -> None:
        self._work, self.max_batch, self.max_waiting = work, max_batch, max_waiting
        self._waiting: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._running: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Requests that wait for the next call."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Would `submit` refuse now?"""
        return len(self._waiting) >= self.max_waiting

    async def submit(self, asked: Asked) -> Answer:
        """Wait for the answer.

        Raises:
            BusyError: too many wait already.
        """
        if self.full:
            raise BusyError
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((asked, answer))
        if self._running is None or self._running.done():
            self._running = loop.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch: list[tuple[Asked, asyncio.Future[Answer]]] = []
            while self._waiting and len(batch) < self.max_batch:
                asked, answer = self._waiting.popleft()
                if not answer.done():  # done: whoever asked has given up
                    batch.append((asked, answer))
            if not batch:
                continue
            try:
                answers = await loop.run_in_executor(self._worker, self._work, [asked for asked, _ in batch])
            except Exception as error:  # noqa: BLE001 — every one of the batch has to hear of it
                answers = [error] * len(batch)
            for (_, waiting), answer_or_error in zip(batch, answers, strict=True):
                if waiting.done():
                    continue
                if isinstance(answer_or_error, Exception):
                    waiting.set_exception(answer_or_error)
                else:
                    waiting.set_result(answer_or_error)

    def close(self) -> None:
        """Let the thread end."""
        self._worker.shutdown(wait=False, cancel_futures=True)
