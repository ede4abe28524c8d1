"""That filters find the same pictures as in every other store is tested in `test_columns.py`."""

from __future__ import annotations

from collections.abc import Callable

from imtext.search.facts import Facts
from imtext.search.filters import NO_FILTERS, Filters
from imtext.search.store.lance import LanceStore
from imtext.search.store.lance.conditions import condition

Add = Callable[..., None]


def test_nothing_asked(lance: LanceStore, add: Add) -> None:
    add(lance, 2)
    assert condition(NO_FILTERS, lance._latest()) == condition(None, lance._latest()) == ""
    lance.commit(gone=["/pictures/000.jpg"], sweep=False)
    assert condition(None, lance._latest()) == "(id NOT IN (1))"


def test_names_are_no_part_of_the_language(lance: LanceStore, add: Add) -> None:
    add(lance, 2)
    lance.commit(facts={b"0": Facts(camera="x' OR 'a' = 'a"), b"1": Facts(camera="NIKON")})
    assert lance.by_date(Filters(camera="' OR 'a' = 'A")).ids.tolist() == [1]
    assert lance.by_date(Filters(camera="%")).ids.tolist() == []


def test_no_folder_of_this_name(lance: LanceStore, add: Add) -> None:
    add(lance, 2)
    assert condition(Filters(folder="elsewhere"), lance._latest()) == "(false)"
    assert lance.by_date(Filters(folder="pictures")).ids.tolist() == [1, 2]
