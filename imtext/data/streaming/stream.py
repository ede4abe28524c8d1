"""One pass over the shards, divided among processes and workers, shuffled, decoded and made into batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from imtext.data.batch import Batch
from imtext.data.streaming.batches import BatchMaker
from imtext.data.streaming.samples import Broken, Decoded, Problem, Sample, decode, read_shard
from imtext.errors import needs


class Part(NamedTuple):
    """A part of the stream.

    Attributes:
        batch: a full batch; None at the end.
        rest: at the end, the samples that do not fill a batch.
        broken: what was left out since the part before.
    """

    batch: Batch | None
    rest: list[Decoded]
    broken: Broken


@dataclass(frozen=True, eq=False)
class ShardStream(IterableDataset[Part]):
    """One pass over all samples of the shards; this process and worker get their share of them.

    If there are at least as many shards as readers (processes times workers), each reader gets shards of its own.
    Otherwise every reader reads all shards and takes every n-th sample.

    A shuffled pass starts somewhere inside of the first shard of each reader, and ends with what comes before that: an
    epoch that is shorter than a shard still begins in another place each time.

    The order depends on the seed, the epoch, the number of the pass and the number of readers, and on nothing else.

    Args:
        shards: paths or addresses.
        make: makes batches.
        batch_size: images per batch.
        buffer: samples in memory from which the next is drawn, in each reader; 1 keeps the order of the shards, too.
        caption_keys: keys of the JSON files that hold captions; None takes those with a typical name.
        seed: seed of the run.
        epoch: the epoch.
        number: of the pass within the epoch.
        rank: number of this process.
        world_size: number of processes.
    """

    shards: tuple[str, ...]
    make: BatchMaker
    batch_size: int
    buffer: int = 1
    caption_keys: tuple[str, ...] | None = None
    seed: int = 0
    epoch: int = 0
    number: int = 0
    rank: int = 0
    world_size: int = 1

    def at(self, epoch: int, number: int) -> ShardStream:
        """The stream of another pass."""
        return replace(self, epoch=epoch, number=number)

    def __iter__(self) -> Iterator[Part]:
        ready: list[Decoded] = []
        broken = Broken()
        for sample in self._shuffled(broken):
            decoded = decode(sample, self.make.preprocess)
            if isinstance(decoded, Problem):
                broken.add(decoded)
                continue
            ready.append(decoded)
            if len(ready) == self.batch_size:
                yield Part(self.make(ready, self.epoch), [], broken.take())
                ready = []
        yield Part(None, ready, broken.take())

    def _shuffled(self, broken: Broken) -> Iterator[Sample]:
        samples = self._read(broken)
        if self.buffer < 2:
            return samples
        with needs("webdataset"):
            from webdataset.filters import shuffle
        worker = get_worker_info()
        chance = Random(f"{self.seed} {self.epoch} {self.number} {self.rank} {worker.id if worker else 0}")
        shuffled: Iterator[Sample] = shuffle(self.buffer, initial=self.buffer, rng=chance)(samples)
        return shuffled

    def _read(self, broken: Broken) -> Iterator[Sample]:
        """The samples of this reader in the order of their shards."""
        worker = get_worker_info()
        workers, own = (worker.num_workers, worker.id) if worker else (1, 0)
        readers, reader = workers * self.world_size, own * self.world_size + self.rank
        order, start = np.arange(len(self.shards)), 0.0
        if self.buffer > 1:
            chance = np.random.default_rng([self.seed, self.epoch, self.number])
            order, start = chance.permutation(order), chance.random()
        share = len(order) < readers
        position = -1
        for shard in order if share else order[reader::readers]:
            for found in read_shard(self.shards[shard], int(shard), self.caption_keys, start):
                position += 1
                if share and position % readers != reader:
                    continue
                if isinstance(found, Problem):
                    broken.add(found)
                else:
                    yield found
            start = 0.0
