"""Fusion of the model's order with pictures that words belong to."""

from __future__ import annotations

from imtext.search.index.fusion import DEPTH, fuse
from imtext.search.store.records import WordMatch


def match(id: int, share: float = 1.0) -> WordMatch:
    return WordMatch(id, share, ("title",))


def test_without_words_the_order_stays() -> None:
    assert fuse([3, 1, 2], []) == [3, 1, 2]


def test_a_picture_with_all_words_comes_first_whatever_the_model_finds() -> None:
    ids = list(range(DEPTH))
    assert fuse(ids, [match(500), match(0, 0.9)])[:2] == [500, 0]
    assert fuse(ids, [match(99)])[0] == 99
    assert fuse([], [match(7), match(8)]) == [7, 8]


def test_some_of_the_words_find_no_picture_but_lift_it() -> None:
    ids = list(range(DEPTH))
    assert fuse(ids, [match(500, 0.9)]) == ids
    lifted = fuse(ids, [match(20, 0.5)])
    assert 0 < lifted.index(20) < 20
    assert fuse(ids, [match(20, 0.25)]).index(20) > lifted.index(20), "the less, the fewer of the words"


def test_what_all_pictures_have_changes_nothing() -> None:
    ids = list(range(50))
    assert fuse(ids, [match(id) for id in ids]) == ids
