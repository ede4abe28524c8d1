"""Word embeddings and an LSTM as a text tower."""

from __future__ import annotations

from torch import nn

from imtext.models.recurrent import RecurrentEncoder, Stack


class LSTMEncoder(RecurrentEncoder):
    """Word embeddings and an LSTM (Hochreiter & Schmidhuber, 1997); see `RecurrentEncoder` for its settings."""

    cell = nn.LSTM
    stacks = ("forward_lstm", "backward_lstm")
    forward_lstm: Stack
    backward_lstm: Stack | None
