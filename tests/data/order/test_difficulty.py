"""Difficulties, by hand."""

from __future__ import annotations

from math import log

import pytest

from imtext.data.order.difficulty import MEASURES, agreement, length, rarity, tokenise
from imtext.data.vocabulary import learn_vocabulary
from tests.data.shared import Characters

CAPTIONS = [["a dog runs", "a dog"], ["a cat"], ["a dog runs", "a dog runs"]]


def test_tokens_are_those_of_the_words() -> None:
    words = tokenise(CAPTIONS, learn_vocabulary(text for texts in CAPTIONS for text in texts))
    a, dog, runs = words[0][0]
    assert words[0] == [[a, dog, runs], [a, dog]]  # without [BOS], [EOS] and padding
    assert words[1][0][0] == a
    assert words[1][0][1] not in (a, dog, runs)
    assert words[2] == [[a, dog, runs], [a, dog, runs]]
    assert tokenise([["ab", "c"]], Characters()) == [[[0, 1], [2]]]  # a tokenizer without special tokens


def test_rarity_is_the_mean_negative_logarithm_of_frequencies() -> None:
    tokens = [[[1, 1], [2]], [[3]]]  # 1: 2 of 4, 2 and 3: 1 of 4
    expected = [(2 * -log(2 / 4) - log(1 / 4)) / 3, -log(1 / 4)]
    assert rarity(tokens).tolist() == pytest.approx(expected)


def test_length_is_the_mean_number_of_tokens() -> None:
    assert length([[[1, 1, 5], [2]], [[3]]]).tolist() == [2, 1]


def test_agreement_is_one_minus_the_mean_overlap() -> None:
    # {1,2} and {2,3} overlap in 1 of 3; {1,2} and {1,2} in 2 of 2; {2,3} and {1,2} in 1 of 3.
    found = agreement([[[1, 2, 2], [2, 3], [2, 1]], [[1], [1]], [[7]]])
    first = 1 - (1 / 3 + 1 + 1 / 3) / 3
    assert found.tolist() == pytest.approx([first, 0, first / 2])  # one caption: the mean of the others


@pytest.mark.parametrize("name", ["rarity", "length", "agreement"])
def test_the_last_picture_of_equal_captions_is_the_easiest_where_captions_agree(name: str) -> None:
    tokens = tokenise(CAPTIONS, learn_vocabulary(text for texts in CAPTIONS for text in texts))
    found = MEASURES[name](tokens)
    assert found.shape == (3,)
    assert {"rarity": 1, "length": 2, "agreement": 0}[name] == int(found.argmax())
