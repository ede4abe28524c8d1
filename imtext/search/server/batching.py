"""Opportunistic batching: requests that arrive while a batch is processed form the next batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Request = TypeVar("Request")
Response = TypeVar("Response")


class BusyError(Exception):
    """The queue is full."""


class Batcher(Generic[Request, Response]):
    """Runs one function in one thread, on all requests that have arrived, up to a maximum.

    A single request is processed at once. Batches grow only under load.

    Args:
        work: requests → a response or an exception for each, in order.
        max_batch: maximum number of requests in one call.
        max_waiting: maximum number of requests that may wait for the next call.
    """

    def __init__(
        self, work: Callable[[Sequence[Request]], Sequence[Response | Exception]], max_batch: int, max_waiting: int
    ) -> None:
        self._work, self.max_batch, self.max_waiting = work, max_batch, max_waiting
        self._waiting: deque[tuple[Request, asyncio.Future[Response]]] = deque()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._running: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Requests that wait for the next call."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether `submit` would refuse a request now."""
        return len(self._waiting) >= self.max_waiting

    async def submit(self, request: Request) -> Response:
        """Wait for the response.

        Raises:
            BusyError: the queue is full.
        """
        if self.full:
            raise BusyError
        loop = asyncio.get_running_loop()
        response: asyncio.Future[Response] = loop.create_future()
        self._waiting.append((request, response))
        if self._running is None or self._running.done():
            self._running = loop.create_task(self._run())
        return await response

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch: list[tuple[Request, asyncio.Future[Response]]] = []
            while self._waiting and len(batch) < self.max_batch:
                request, response = self._waiting.popleft()
                if not response.done():  # done: the client has disconnected
                    batch.append((request, response))
            if not batch:
                continue
            try:
                outcomes = await loop.run_in_executor(self._worker, self._work, [request for request, _ in batch])
            except Exception as error:  # noqa: BLE001  every request of the batch must get the error
                outcomes = [error] * len(batch)
            for (_, response), outcome in zip(batch, outcomes, strict=True):
                if response.done():
                    continue
                if isinstance(outcome, Exception):
                    response.set_exception(outcome)
                else:
                    response.set_result(outcome)

    def close(self) -> None:
        """Stop the thread."""
        self._worker.shutdown(wait=False, cancel_futures=True)
