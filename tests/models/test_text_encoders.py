"""The LSTM tower: padding, grouping and pooling."""

from __future__ import annotations

import pytest
import torch
from imtext.models.text_encoders import Pooling
from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.models import LSTMEncoder

LENGTHS = [3, 9, 5, 4, 12, 7, 3, 8, 6, 10, 11, 5]


def captions(padding: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.zeros(len(LENGTHS), max(LENGTHS) + padding, dtype=torch.int64)
    for row, length in enumerate(LENGTHS):
        ids[row, :length] = torch.randint(2, 50, (length,), generator=generator)
    return ids, ids > 0


def encoder(pooling: Pooling, bidirectional: bool) -> LSTMEncoder:
    torch.manual_seed(0)
    return LSTMEncoder(50, word_dim=8, hidden_dim=6, num_layers=2, bidirectional=bidirectional, pooling=pooling).eval()


@pytest.mark.parametrize("pooling", ["max", "mean", "last"])
@pytest.mark.parametrize("bidirectional", [False, True])
class TestPadding:
    def test_a_caption_alone_is_a_caption_among_others(self, pooling: Pooling, bidirectional: bool) -> None:
        model = encoder(pooling, bidirectional)
        ids, mask = captions()
        together = model(ids, mask)
        assert together.shape == (len(LENGTHS), model.num_features)
        for row, length in enumerate(LENGTHS):
            alone = model(ids[row : row + 1, :length], mask[row : row + 1, :length])
            torch.testing.assert_close(together[row : row + 1], alone)

    def test_more_padding_changes_nothing(self, pooling: Pooling, bidirectional: bool) -> None:
        model = encoder(pooling, bidirectional)
        torch.testing.assert_close(model(*captions(padding=20)), model(*captions()))

    def test_packed_sequences_agree(self, pooling: Pooling, bidirectional: bool) -> None:
        """torch's own way, on a bidirectional LSTM with the same weights."""
        model = encoder(pooling, bidirectional)
        if model.backward_lstm is not None:
            pytest.skip("layers of torch's bidirectional LSTM read both directions; ours are two stacks")
        ids, mask = captions()
        lengths = mask.sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            model.word_embedding(ids), lengths, batch_first=True, enforce_sorted=False
        )
        for layer in model.forward_lstm.layers:
            packed, _ = layer(packed)
        states, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        torch.testing.assert_close(model(ids, mask), model._pool(states, mask, lengths))


def test_backward_lstm_reads_the_caption_from_its_end() -> None:
    model = encoder("last", bidirectional=True)
    ids, mask = captions()
    assert model.backward_lstm is not None
    for row, length in enumerate(LENGTHS):
        turned = model.word_embedding(ids[row : row + 1, :length].flip(1))
        states = model.backward_lstm(turned)
        torch.testing.assert_close(model(ids, mask)[row, model.forward_lstm.hidden_dim :], states[0, -1])


def test_unknown_pooling_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="max, mean, last"):
        LSTMEncoder(10, pooling="sum")  # type: ignore[arg-type]
