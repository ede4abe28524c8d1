"""Words in tables of Lance. What every store finds is tested in `test_protocol.py`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imtext.search.facts import Facts
from imtext.search.store.lance import LanceStore, words

Add = Callable[..., None]


def test_parts_of_a_phrase_stand_together_in_one_column(lance: LanceStore, add: Add) -> None:
    add(lance, 4)
    lance.commit(
        facts={
            b"0": Facts(title="IMG 12", caption="34"),
            b"1": Facts(caption="see img_12-34 here"),
            b"2": Facts(caption="34 img 12"),
            b"3": Facts(title="img", caption="12 34"),
        }
    )
    assert [match.id for match in lance.find_words(["IMG_12_34"], 10)] == [2]


def test_rare_words_and_titles_come_first(lance: LanceStore, add: Add) -> None:
    add(lance, 5)
    lance.commit(facts={b"%d" % number: Facts(caption="porto" + " river" * (number == 3)) for number in range(4)})
    lance.commit(facts={b"4": Facts(title="Porto")})
    assert [match.id for match in lance.find_words(["porto", "river"], 10)][:2] == [4, 5]


def test_words_of_very_many_pictures_do_not_count(lance: LanceStore, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "COMMON", 3)
    add(lance, 5)
    lance.commit(facts={b"%d" % number: Facts(caption="porto" + " river" * (number == 3)) for number in range(5)})
    assert lance.find_words(["porto"], 10) == []
    assert [(match.id, match.share) for match in lance.find_words(["porto", "river"], 10)] == [(4, 1.0)]
