"""Batches of neighbours, composed of mined ones that are given here."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from imtext.data.order import Neighbours, Positions
from imtext.data.sampler import BatchSampler
from imtext.errors import ConfigError

# Three families of four, and a loner without neighbours.
FAMILIES = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
MINED = np.array([[each for each in family if each != own] for family in FAMILIES for own in family] + [[-1, -1, -1]])


def arranged(order: Neighbours, size: int = 13, epoch: int = 0) -> list[int]:
    found: list[int] = order.arrange(size, 4, epoch, np.random.default_rng([7, epoch])).tolist()
    return found


def test_families_stay_together_and_every_picture_comes_once() -> None:
    order = Neighbours(group_size=4, num_neighbours=3)
    order.use(MINED, epoch=0)
    seen = set()
    for epoch in range(20):
        found = arranged(order, epoch=epoch)
        assert sorted(found) == list(range(13))
        for family in FAMILIES:
            places = sorted(found.index(each) for each in family)
            assert places == list(range(places[0], places[0] + 4))
        seen.add(tuple(found))
    assert len(seen) == 20


def test_a_group_is_a_picture_and_some_of_its_neighbours() -> None:
    order = Neighbours(group_size=2, num_neighbours=3)
    order.use(MINED, epoch=0)
    found = [each for each in arranged(order) if each != 12]
    family = {each: number for number, members in enumerate(FAMILIES) for each in members}
    pairs = list(zip(found[::2], found[1::2], strict=True))
    assert all(family[one] == family[other] for one, other in pairs)
    partners = {frozenset(pair) for epoch in range(30) for pair in _pairs(order, epoch)}
    assert len(partners) == 18  # any two of a family


def _pairs(order: Neighbours, epoch: int) -> list[tuple[int, int]]:
    found = [each for each in arranged(order, epoch=epoch) if each != 12]
    return list(zip(found[::2], found[1::2], strict=True))


def test_neighbours_that_are_taken_are_not_taken_again() -> None:
    order = Neighbours(group_size=3, num_neighbours=2)
    order.use(np.array([[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]), epoch=0)  # everybody's are 0 and 1
    for epoch in range(10):
        assert sorted(arranged(order, 5, epoch)) == [0, 1, 2, 3, 4]


def test_before_the_first_mining_batches_are_those_of_a_run_without() -> None:
    def batches(order: Neighbours | None) -> list[tuple[int, ...]]:
        return [key.positions for key in BatchSampler(13, 4, shuffle=True, seed=3, epoch=2, order=order)]

    order = Neighbours(num_neighbours=3)
    assert batches(order) == batches(None)
    order.use(MINED, epoch=2)
    mined = batches(order)
    assert mined != batches(None)
    assert [len(batch) for batch in mined] == [len(batch) for batch in batches(None)]
    assert len(set(chain.from_iterable(mined))) == 12


def test_two_processes_share_the_batches_of_one_that_are_twice_as_large() -> None:
    def batches(batch_size: int, rank: int = 0, world_size: int = 1) -> list[tuple[int, ...]]:
        order = Neighbours(num_neighbours=3)
        order.use(MINED, epoch=0)
        sampler = BatchSampler(13, batch_size, shuffle=True, seed=3, order=order, rank=rank, world_size=world_size)
        return [key.positions for key in sampler]

    shares = zip(batches(3, 0, 2), batches(3, 1, 2), strict=True)
    assert [one + other for one, other in shares] == batches(6)


def test_when_mining_is_due() -> None:
    order = Neighbours(after_epochs=2, every_n_epochs=3)
    due = []
    for epoch in range(10):
        if order.due(epoch):
            order.use(MINED, epoch)
            due.append(epoch)
            assert not order.due(epoch)
    assert due == [2, 5, 8]


def test_a_run_that_resumes_without_mined_neighbours_mines_at_once() -> None:
    order = Neighbours(after_epochs=2, every_n_epochs=3)
    assert [epoch for epoch in range(6) if order.due(epoch)] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group_size": 1}, r"group_size=1: it must be at least 2"),
        ({"every_n_epochs": 0}, r"every_n_epochs=0: it must be at least 1"),
        ({"skip": -1}, r"skip=-1: it must be at least 0"),
        ({"group_size": 5, "num_neighbours": 3}, r"group_size=5.* takes 4 .*num_neighbours=3"),
        ({"max_ratio": 0.0}, r"max_ratio=0\.0: it must be above 0"),
        ({"max_ratio": 1.5}, r"max_ratio=1\.5: it must be above 0 and at most 1"),
    ],
)
def test_impossible_settings(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Neighbours(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "pictures", "message"),
    [
        ({"group_size": 9}, 40, "group_size=9 is above data.batch_size=8"),
        ({}, 10, "num_neighbours=10 and data.order.skip=0 need more than 10 training pictures, but there are 10"),
        ({"skip": 5}, 15, "more than 15"),
        ({"after_epochs": 4}, 40, "after_epochs=4.*max_epochs=4"),
    ],
)
def test_settings_that_do_not_fit_the_run(settings: dict[str, int], pictures: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Neighbours(**settings).check([["a"]] * pictures, batch_size=8, max_epochs=4)


def test_settings_that_just_fit() -> None:
    Neighbours(group_size=8, after_epochs=3, skip=5).check([["a"]] * 16, batch_size=8, max_epochs=4)


def test_positions_are_integers() -> None:
    order = Neighbours(num_neighbours=3)
    order.use(MINED, epoch=0)
    found: Positions = order.arrange(13, 4, 0, np.random.default_rng(0))
    assert found.dtype == np.int64
