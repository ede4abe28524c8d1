"""What both recurrent towers have in common; see the tests of the LSTM for the rest."""

from __future__ import annotations

import pytest
from torch import nn

from imtext.models import GRUEncoder, LSTMEncoder
from imtext.models.recurrent import Pooling
from tests.models.captions import VOCABULARY, check_learning, check_padding


@pytest.mark.parametrize("kind", [LSTMEncoder, GRUEncoder])
@pytest.mark.parametrize("pooling", ["max", "mean", "last"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_and_gradients(kind: type[LSTMEncoder | GRUEncoder], pooling: Pooling, bidirectional: bool) -> None:
    tower = kind(8, 6, 2, bidirectional, pooling, word_dropout=0.2, mean_of_words=True, vocabulary=VOCABULARY)
    assert tower.num_features == (20 if bidirectional else 14)
    assert len(tower.blocks) == 3
    check_padding(tower)
    check_learning(tower)


def test_directions() -> None:
    one, two = (LSTMEncoder(8, 6, bidirectional=both, vocabulary=VOCABULARY) for both in (False, True))
    assert one.directions == [one.forward_lstm]
    assert one.backward_lstm is None
    assert two.directions == [two.forward_lstm, two.backward_lstm]
    assert isinstance(two.forward_lstm.layers[0], nn.LSTM)
