"""The words of a query that can name a picture."""

from __future__ import annotations

import pytest

from imtext.search.words import asked_words
from imtext.search.words.asked import MAX_WORDS


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("A dog, in the park", ("dog", "park")),
        ("IMG_1234", ("IMG_1234",)),
        ("t-shirt Dog dog", ("t-shirt", "dog")),
        ('"Lisbon" OR NEAR(tram*) -x ^y {name}:z', ("Lisbon", "tram", "-x", "y", "name", "z")),
        ("the", ()),
        ("* - ' 🐕", ()),
        ("Ko\u0308ln", ("Köln",)),
    ],
)
def test_words(query: str, words: tuple[str, ...]) -> None:
    assert asked_words(query) == words


def test_long_queries_are_cut() -> None:
    assert len(asked_words(" ".join(f"w{number}" for number in range(100)))) == MAX_WORDS
