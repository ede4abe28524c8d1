"""The bag of words: padding, weights, freezing, export."""

from __future__ import annotations

import torch

from imtext.models import BagOfWords
from tests.models.captions import VOCABULARY, captions, check_graph, check_learning, check_padding


def tower() -> BagOfWords:
    torch.manual_seed(0)
    bag = BagOfWords(8, dropout=0.3, word_dropout=0.2, vocabulary=VOCABULARY)
    torch.nn.init.normal_(bag.log_weight.weight)
    return bag


def test_padding_and_gradients() -> None:
    check_padding(tower())
    check_learning(tower())


def test_at_first_it_is_the_mean() -> None:
    bag = BagOfWords(8, vocabulary=VOCABULARY).eval()
    ids, mask = captions()
    torch.testing.assert_close(bag(ids, mask), bag.word_embedding(ids).sum(1) / mask.sum(1, keepdim=True))


def test_weights() -> None:
    bag = BagOfWords(8, vocabulary=VOCABULARY).eval()
    with torch.no_grad():
        bag.log_weight.weight[3] = torch.tensor(3.0).log()
    ids = torch.tensor([[3, 4]])
    three, four = bag.word_embedding.weight[3], bag.word_embedding.weight[4]
    torch.testing.assert_close(bag(ids, ids > 0)[0], (3 * three + four) / 4)


def test_vectors_and_weights_freeze_one_by_one() -> None:
    bag = tower()
    bag.freeze(1)
    assert [name for name, value in bag.named_parameters() if value.requires_grad] == ["log_weight.weight"]


def test_exported_like_trained() -> None:
    check_graph(tower())
