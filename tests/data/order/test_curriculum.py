"""Which pictures a curriculum uses, when, and how often."""

from __future__ import annotations

import logging
import math
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest

from imtext.data.order import Curriculum
from imtext.data.sampler import BatchSampler
from imtext.errors import ConfigError
from tests.data.shared import Characters, shapes

SIZE = 100
CAPTIONS = [["a" * (1 + (7 * picture) % SIZE)] for picture in range(SIZE)]  # lengths of 1 to 100, mixed


class Long(Characters):
    """Characters of any number."""

    vocabulary = Characters.vocabulary.__class__("characters", 28, 27, 26, SIZE)


def ready(start: float = 0.3, epochs: int = 4) -> Curriculum:
    order = Curriculum("length", start, epochs)
    order.prepare(CAPTIONS, Long())
    return order


def batches(order: Curriculum | None, epoch: int, batch_size: int = 8) -> list[tuple[int, ...]]:
    return [key.positions for key in BatchSampler(SIZE, batch_size, shuffle=True, seed=1, epoch=epoch, order=order)]


def test_the_share_grows_with_the_square_root() -> None:
    order = Curriculum(start=0.2, epochs=4)
    expected = [0.2, math.sqrt(0.25 * 0.96 + 0.04), math.sqrt(0.5 * 0.96 + 0.04), math.sqrt(0.75 * 0.96 + 0.04), 1, 1]
    assert [order.competence(epoch) for epoch in range(6)] == pytest.approx(expected)


@pytest.mark.parametrize(("epoch", "count"), [(0, 30), (1, 56), (2, 74), (3, 88)])
@pytest.mark.parametrize("batch_size", [7, 8, 30])
def test_only_the_easiest_pictures_are_used_evenly(epoch: int, count: int, batch_size: int) -> None:
    found = batches(ready(), epoch, batch_size)
    assert len(found) == SIZE // batch_size  # as many steps as without a curriculum
    assert all(len(set(batch)) == batch_size for batch in found)
    times = Counter(chain.from_iterable(found))
    assert max(len(CAPTIONS[picture][0]) for picture in times) <= count
    assert set(times.values()) <= {math.floor(sum(times.values()) / count), math.ceil(sum(times.values()) / count)}


def test_afterwards_all_epochs_are_those_of_a_run_without() -> None:
    order = ready()
    assert batches(order, 3) != batches(None, 3)
    for epoch in (4, 5):
        assert batches(order, epoch) == batches(None, epoch)


def test_orders_depend_on_seed_and_epoch_alone() -> None:
    assert batches(ready(), 1) == batches(ready(), 1) != batches(ready(epochs=5), 1)
    assert batches(ready(), 0) != batches(ready(epochs=400), 1)  # the same pictures in another epoch


def test_a_batch_takes_as_many_pictures_as_it_needs() -> None:
    (batch, *_) = batches(ready(start=0.01), 0, batch_size=20)
    assert sorted(len(CAPTIONS[picture][0]) for picture in batch) == list(range(1, 21))


def test_two_processes_share_batches_of_different_pictures() -> None:
    shares = [
        list(BatchSampler(SIZE, 8, shuffle=True, seed=1, order=ready(0.16), rank=rank, world_size=2))
        for rank in range(2)
    ]
    together = [one.positions + other.positions for one, other in zip(*shares, strict=True)]
    assert together == batches(ready(0.16), 0, batch_size=16)
    assert all(len(set(batch)) == 16 for batch in together)


def test_the_log_says_what_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        ready(start=0.25, epochs=2)
    (line,) = caplog.messages
    assert line.startswith(
        "Curriculum by length: the hardest 75 %, 27 % of the pictures are left out in epochs 1 to 2."
    )
    assert "Easiest (1.00): a | hardest" in line
    assert line.endswith(f"hardest (100.00): {'a' * 100}")


def test_data_prepares_it(tmp_path: Path) -> None:
    order = Curriculum("length", start=0.5, epochs=2)
    data = shapes(tmp_path, order=order)
    seen = {int(row) for batch in data.train_dataloader() for row in batch["image_id"]}
    lengths = {row: sum(map(len, map(str.split, data.captions[row]))) for row in data.rows["train"]}
    unseen = [lengths[row] for row in data.rows["train"] if row not in seen]
    assert len(seen) == len(unseen) == 12
    assert max(lengths[row] for row in seen) <= min(unseen)


def test_unprepared() -> None:
    with pytest.raises(RuntimeError, match="prepare"):
        batches(Curriculum(), 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"difficulty": "size"}, "must be one of rarity, length, agreement, not 'size'"),
        ({"start": 0}, "start=0: it must be above 0"),
        ({"start": 1.1}, "at most 1"),
        ({"epochs": 0}, "epochs=0: it must be at least 1"),
    ],
)
def test_impossible_settings(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Curriculum(**settings)  # type: ignore[arg-type]


def test_settings_that_do_not_fit_the_run() -> None:
    with pytest.raises(ConfigError, match=r"data\.order\.epochs=4.*max_epochs=4.*Lower"):
        Curriculum(epochs=4).check(CAPTIONS, batch_size=8, max_epochs=4)
    with pytest.raises(ConfigError, match=r"agreement.*no training picture has two: take rarity or length"):
        Curriculum("agreement").check(CAPTIONS, batch_size=8, max_epochs=4)
    Curriculum("agreement", epochs=3).check([["a"], ["b", "c"]], batch_size=8, max_epochs=4)
