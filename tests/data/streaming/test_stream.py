from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from imtext.data.streaming.batches import BatchMaker
from imtext.data.streaming.stream import Part, ShardStream
from imtext.preprocess import Preprocess
from tests.data.shared import Characters
from tests.shards import write_shard, write_shards


def stream(folder: Path, **settings: Any) -> ShardStream:
    shards = tuple(str(path) for path in sorted(folder.glob("*.tar")))
    make = BatchMaker(Preprocess(image_size=32), Characters())
    return ShardStream(shards, make, **{"batch_size": 4, "buffer": 10, **settings})


def numbers(parts: Iterable[Part]) -> list[int]:
    """The numbers of the samples in the order in which they come."""
    found: list[int] = []
    for part in parts:
        found += part.batch["image_id"].tolist() if part.batch is not None else []
        found += [sample.number for sample in part.rest]
    return found


def test_every_sample_once_in_an_order_of_seed_epoch_and_pass(tmp_path: Path) -> None:
    folder = write_shards(tmp_path, 9, 9, 9)
    first = numbers(stream(folder))
    assert len(set(first)) == len(first) == 27
    assert first != sorted(first)
    assert numbers(stream(folder)) == first
    others = [stream(folder, seed=1), stream(folder).at(1, 0), stream(folder).at(0, 1)]
    for other in others:
        assert numbers(other) != first
        assert sorted(numbers(other)) == sorted(first)


@pytest.mark.parametrize("readers", [1, 3], ids=["shards of its own", "too few"])
def test_many_short_epochs_read_every_place_of_the_shards(tmp_path: Path, readers: int) -> None:
    size = 30
    folder, counts = write_shards(tmp_path, size, size), Counter[int]()
    for epoch in range(120):
        for rank in range(readers):
            own = stream(folder, batch_size=1, buffer=2, rank=rank, world_size=readers).at(epoch, 0)
            counts.update(numbers(islice(own, size // 5 // readers)))
    places = Counter[int]()
    for number, count in counts.items():
        places[number % 2**32 * 3 // size] += count
    assert len(counts) == 2 * size
    assert min(places.values()) > 0.3 * max(places.values()), "each third often"


def test_without_a_buffer_the_order_is_that_of_the_shards(tmp_path: Path) -> None:
    found = numbers(stream(write_shards(tmp_path, 3, 3), buffer=1))
    assert found == sorted(found)


def test_shards_are_shuffled_even_if_the_buffer_is_small(tmp_path: Path) -> None:
    folder = write_shards(tmp_path, *[2] * 8)
    shards = [number >> 32 for number in numbers(stream(folder, buffer=2))]
    assert shards != sorted(shards)


@pytest.mark.parametrize("sizes", [[5, 5, 5, 5], [7, 3], [11]], ids=["shards of its own", "too few", "one"])
@pytest.mark.parametrize("workers", [0, 2])
def test_two_processes_and_their_workers_share_the_samples(tmp_path: Path, sizes: list[int], workers: int) -> None:
    folder = write_shards(tmp_path, *sizes)
    ranks = [
        numbers(DataLoader(stream(folder, rank=rank, world_size=2), batch_size=None, num_workers=workers))
        for rank in range(2)
    ]
    assert Counter(ranks[0] + ranks[1]) == Counter(numbers(stream(folder)))
    if len(sizes) < 2 * max(1, workers):
        assert sorted(map(len, ranks)) == [sum(sizes) // 2, (sum(sizes) + 1) // 2], "sample by sample"


def test_what_is_broken_is_left_out_and_counted(tmp_path: Path) -> None:
    folder = write_shards(tmp_path, 6)
    write_shard(folder / "00001.tar", [{"jpg": b"no picture", "txt": b"a"}, {"txt": b"a"}, {"jpg": b""}])
    (folder / "00002.tar").write_bytes(b"no shard" * 100)
    parts = list(stream(folder))
    assert len(numbers(parts)) == 6
    counts = sum((part.broken.counts for part in parts), Counter[str]())
    assert counts == {
        "broken pictures": 1, "samples without a picture": 1, "samples without a caption": 1, "broken shards": 1
    }  # fmt: skip
    assert [len(part.batch["image"]) for part in parts if part.batch is not None] == [4], "batches are full"
