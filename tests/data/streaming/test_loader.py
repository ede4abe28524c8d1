from __future__ import annotations

import logging
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from imtext.data.streaming.loader import StreamLoader
from imtext.errors import DataError
from tests.data.streaming.test_stream import stream
from tests.shards import write_shard, write_shards


def loader(
    folder: Path, steps: int, workers: int = 0, epoch: int = 0, skip_broken: bool = True, **settings: Any
) -> StreamLoader:
    return StreamLoader(stream(folder, **settings), steps, epoch, skip_broken, {"num_workers": workers})


def epoch_of(batches: StreamLoader, epoch: int = 0) -> list[list[int]]:
    """The numbers of the samples of each batch."""
    batches.sampler.set_epoch(epoch)
    return [batch["image_id"].tolist() for batch in batches]


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_workers_give_every_sample_once_per_epoch(tmp_path: Path, workers: int) -> None:
    folder = write_shards(tmp_path, 7, 6, 11)  # 24 samples; no worker has a multiple of four
    batches = loader(folder, 6, workers)
    for epoch in range(2):
        found = epoch_of(batches, epoch)
        assert [len(batch) for batch in found] == [4] * 6
        assert max(Counter(chain(*found)).values()) == 1
    assert epoch_of(batches, 0) != epoch_of(batches, 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_later_epoch_needs_no_earlier_one(tmp_path: Path, workers: int) -> None:
    """So that a resumed run has the batches of an uninterrupted one."""
    folder = write_shards(tmp_path, 9, 8, 7)
    straight = loader(folder, 5, workers)
    epochs = [epoch_of(straight, epoch) for epoch in range(3)]
    assert epoch_of(loader(folder, 5, workers, epoch=2), 2) == epochs[2]
    resumed = loader(folder, 5, workers, epoch=1)
    assert [batch["image_id"].tolist() for batch in resumed] == epochs[1], "before Lightning announces an epoch"
    stopped = iter(straight)
    next(stopped)
    del stopped
    assert epoch_of(straight, 1) == epochs[1]


def test_processes_with_unequal_shards_have_equal_numbers_of_batches(tmp_path: Path) -> None:
    folder = write_shards(tmp_path, 20, 2)
    lengths = {len(epoch_of(loader(folder, 3, rank=rank, world_size=2))) for rank in range(2)}
    assert lengths == {3}


def test_shards_are_read_again_if_the_epoch_is_longer(tmp_path: Path) -> None:
    found = list(chain(*epoch_of(loader(write_shards(tmp_path, 6), 6))))
    assert len(set(found)) == 6
    assert set(Counter(found).values()) <= {3, 4, 5}
    assert [len(batch) for batch in epoch_of(loader(write_shards(tmp_path, 2), 2))] == [2, 2], "distinct in a batch"


def test_what_is_broken_is_reported_once_in_an_epoch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_shards(tmp_path, 8)
    write_shard(folder / "00001.tar", [{"jpg": b"no picture", "txt": b"a"}] * 3)
    with caplog.at_level(logging.WARNING):
        epoch_of(loader(folder, 2, workers=2), 4)
    (message,) = caplog.messages
    assert message.startswith(f"Left out in epoch 5: 3 broken pictures: {folder}/00001.tar/00000000")
    with pytest.raises(DataError, match=r"1 broken pictures.*data\.skip_broken=true"):
        epoch_of(loader(folder, 3, skip_broken=False))


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_readable(tmp_path: Path, workers: int) -> None:
    write_shard(tmp_path / "00000.tar", [{"jpg": b"no picture", "txt": b"a"}] * 3)
    with pytest.raises(DataError, match=r"No sample .* 3 broken pictures: .*00000\.tar/000000000"):
        epoch_of(loader(tmp_path, 2, workers))


def test_other_processes_say_what_only_they_know(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_shards(tmp_path, 8)
    write_shard(folder / "00001.tar", [{"jpg": b"no picture", "txt": b"a"}] * 3)
    write_shard(folder / "00002.tar", [{"jpg": b"no picture", "txt": b"a"}] * 3)
    write_shards(tmp_path / "whole", 8)
    (tmp_path / "whole" / "00000.tar").rename(folder / "00003.tar")
    own: dict[str, Any] = {"rank": 1, "world_size": 2, "buffer": 1}
    with caplog.at_level(logging.ERROR):  # of every process but the first
        epoch_of(loader(folder, 2, **own))
        assert caplog.messages[-1].startswith("Left out in epoch 1 by process 1: 3 broken pictures")
        with pytest.raises(DataError):
            epoch_of(loader(folder, 2, skip_broken=False, **own))
        assert caplog.messages[-1].startswith("Process 1: 3 broken pictures")
        epoch_of(loader(folder, 2, rank=0, world_size=2, buffer=1))
    assert len(caplog.messages) == 2
