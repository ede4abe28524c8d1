"""The base class of towers with word embeddings: settings, initial vectors, dropped words."""

from __future__ import annotations

import pytest
import torch

from imtext.errors import ConfigError
from imtext.models import BagOfWords
from imtext.preprocess.tokenizer import Vocabulary
from tests.models.captions import VOCABULARY


@pytest.mark.parametrize("name", ["dropout", "word_dropout"])
def test_shares_are_below_one(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"text_encoder\.{name} must be between 0 and 1, not 1"):
        BagOfWords(**{name: 1.0}, vocabulary=VOCABULARY)  # type: ignore[arg-type]


def test_word_dropout_needs_an_unknown_token() -> None:
    vocabulary = Vocabulary("pretrained", size=30, pad_id=0, unk_id=None, max_length=64)
    with pytest.raises(ConfigError, match="this tokenizer does not have"):
        BagOfWords(word_dropout=0.1, vocabulary=vocabulary)


def test_words_are_dropped_in_training_and_padding_is_not() -> None:
    tower = BagOfWords(8, word_dropout=0.99, vocabulary=VOCABULARY).train()
    ids = torch.tensor([[5, 6, 7, 0]])
    torch.manual_seed(0)
    assert tower.drop_words(ids, ids > 0).tolist() == [[1, 1, 1, 0]]
    assert tower.eval().drop_words(ids, ids > 0) is ids


def test_starts_from_word_vectors() -> None:
    tower = BagOfWords(8, word_init="lsa", word_scale=0.1, vocabulary=VOCABULARY)
    assert tower.wants_word_vectors == 8
    assert BagOfWords(8, vocabulary=VOCABULARY).wants_word_vectors is None
    vectors = torch.randn(50, 8)
    tower.start_from(vectors)
    torch.testing.assert_close(tower.word_embedding.weight.data, 0.1 * vectors)


def test_a_choice_is_one_of_the_known() -> None:
    with pytest.raises(ConfigError, match=r"text_encoder\.word_init must be one of random, lsa, not 'glove'"):
        BagOfWords(word_init="glove", vocabulary=VOCABULARY)  # type: ignore[arg-type]
