"""The base class of text towers."""

from __future__ import annotations

import pytest
import torch

from imtext.preprocess.tokenizer import Vocabulary
from tests.models.towers import BagOfWords

VOCABULARY = Vocabulary("words", size=20, pad_id=3, unk_id=1, max_length=8)


def test_word_vectors_are_optional() -> None:
    encoder = BagOfWords(vocabulary=VOCABULARY)
    assert encoder.wants_word_vectors is None
    with pytest.raises(NotImplementedError, match="BagOfWords does not start from word vectors"):
        encoder.start_from(torch.zeros(20, 8))


def test_the_vocabulary_is_supplied_by_keyword() -> None:
    with pytest.raises(TypeError):
        BagOfWords(8, VOCABULARY)  # type: ignore[call-arg]
    assert BagOfWords(vocabulary=VOCABULARY).words.padding_idx == 3
