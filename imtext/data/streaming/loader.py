"""Training batches of a stream, epoch by epoch."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from itertools import count
from typing import Any, NoReturn

from torch.utils.data import DataLoader

from imtext.data.batch import Batch
from imtext.data.streaming.samples import Broken, Decoded
from imtext.data.streaming.stream import ShardStream
from imtext.errors import DataError

log = logging.getLogger(__name__)


class StreamLoader:
    """Yields the same number of batches in every epoch and every process, all of them full.

    If this process has too few samples for that, because some are broken or other processes have more, its shards are
    read again, in another order. What is left over in an epoch is not read in it.

    Args:
        stream: of this process.
        steps: batches of an epoch.
        epoch: the first epoch.
        skip_broken: leave out what is broken, and say so at the end of the epoch.
        settings: of the `DataLoader`, such as the number of workers.
    """

    def __init__(
        self, stream: ShardStream, steps: int, epoch: int, skip_broken: bool, settings: Mapping[str, Any]
    ) -> None:
        self.stream, self.steps, self.epoch = stream, steps, epoch
        self.skip_broken, self.settings = skip_broken, dict(settings)
        self.sampler = self  # Lightning announces epochs to the sampler

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        broken = Broken()
        with closing(self._batches(self.epoch, broken)) as batches:
            for step in range(self.steps):
                batch = next(batches)
                if step == self.steps - 1:  # nobody asks for more
                    batches.close()
                    self._report(broken)
                yield batch

    def _report(self, broken: Broken) -> None:
        if broken:
            level = logging.ERROR if self.stream.rank else logging.WARNING  # other processes show nothing below
            log.log(level, "Left out in epoch %d%s: %s", self.epoch + 1, self._whose(), broken)

    def _whose(self) -> str:
        return f" by process {self.stream.rank}" if self.stream.world_size > 1 else ""

    def _fail(self, message: str) -> NoReturn:
        """End the run. Only this process has these shards, and the first one alone reports errors that all have.

        Raises:
            DataError: always.
        """
        if self.stream.rank:
            log.error("Process %d: %s", self.stream.rank, message)
        raise DataError(message)

    def _batches(self, epoch: int, broken: Broken) -> Generator[Batch, None, None]:
        """Batches without end: pass after pass over the shards."""
        rest: list[Decoded] = []
        for number in count():
            found = False
            # Workers are started for each pass: they learn the epoch from their copy of the stream.
            for part in DataLoader(self.stream.at(epoch, number), batch_size=None, **self.settings):
                broken.merge(part.broken)
                if part.broken and not self.skip_broken:
                    self._fail(f"{part.broken}. Repair them, or pass data.skip_broken=true to train without them")
                found = found or part.batch is not None or bool(part.rest)
                if part.batch is not None:
                    yield part.batch
                rest += part.rest
                while len(rest) >= self.stream.batch_size:
                    yield self.stream.make(rest[: self.stream.batch_size], epoch)
                    del rest[: self.stream.batch_size]
            if not found:
                self._fail(f"No sample of the shards of this process can be read: {broken or 'they are empty'}")
