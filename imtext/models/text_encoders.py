"""Text towers: tokens ``[N, L]`` → features ``[N, num_features]``."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from imtext.errors import ConfigError

Pooling = Literal["max", "mean", "last"]
WordInit = Literal["random", "lsa"]
PAD_ID, UNK_ID = 0, 1


class LSTMEncoder(nn.Module):
    """Word embeddings and an LSTM over them, pooled into one vector.

    A caption's features do not depend on how far it is padded: the LSTM reads left to right and pooling
    looks at real tokens only. Packed sequences, which have a history of silent errors on MPS, are not used;
    instead captions of like length run together, which on a CPU is 1.6 times as fast as packing.

    Args:
        vocab_size: number of word embeddings; None until the tokenizer is known.
        word_dim: size of a word embedding.
        hidden_dim: LSTM units per direction.
        num_layers: LSTMs on top of each other.
        bidirectional: read right to left as well; doubles `num_features`.
        pooling: ``max`` or ``mean`` over all states, or the ``last`` state.
        dropout: on word embeddings and between layers.
        word_dropout: share of words that are made unknown in training, so that no single word is relied upon.
        mean_of_words: append the mean word embedding to the features: a bag of words, which learns fast from few
            captions, beside the LSTM, which knows about order.
        word_init: what word embeddings are at the beginning: ``random``, or ``lsa``, vectors that were learnt from the
            training captions by latent semantic analysis.
        word_scale: standard deviation of word embeddings at the beginning. Their mean learns faster from small ones,
            which an optimizer with small steps can move; an LSTM alone wants them large.
    """

    groups = 4  # of like length; more would save padding and lose parallelism

    def __init__(
        self,
        vocab_size: int | None = None,
        word_dim: int = 300,
        hidden_dim: int = 512,
        num_layers: int = 1,
        bidirectional: bool = False,
        pooling: Pooling = "max",
        dropout: float = 0.1,
        word_dropout: float = 0.0,
        mean_of_words: bool = False,
        word_init: WordInit = "random",
        word_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= word_dropout < 1:
            raise ConfigError(f"model.text_encoder.word_dropout must be between 0 and 1, not {word_dropout}")
        if vocab_size is None:
            raise ConfigError("model.text_encoder.vocab_size is unknown: it is set from the tokenizer")
        if pooling not in get_args(Pooling):
            raise ConfigError(f"pooling must be one of {', '.join(get_args(Pooling))}, not {pooling!r}")
        if word_init not in get_args(WordInit):
            raise ConfigError(f"word_init must be one of {', '.join(get_args(WordInit))}, not {word_init!r}")
        self.word_init, self.word_scale = word_init, word_scale
        self.num_features = hidden_dim * (2 if bidirectional else 1) + (word_dim if mean_of_words else 0)
        self.pooling, self.word_dropout, self.mean_of_words = pooling, word_dropout, mean_of_words
        self.dropout = nn.Dropout(dropout)
        self.word_embedding = nn.Embedding(vocab_size, word_dim, padding_idx=PAD_ID)
        with torch.no_grad():
            self.word_embedding.weight.mul_(word_scale)
        self.forward_lstm = _Stack(word_dim, hidden_dim, num_layers, dropout)
        self.backward_lstm = _Stack(word_dim, hidden_dim, num_layers, dropout) if bidirectional else None

    def start_from(self, word_vectors: Tensor) -> None:
        """Begin with ``[vocab_size, word_dim]`` of standard deviation 1."""
        with torch.no_grad():
            self.word_embedding.weight.copy_(word_vectors * self.word_scale)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """``[N, L]`` int64 and ``[N, L]`` bool (True on real tokens, which come first) → ``[N, num_features]``."""
        lengths = attention_mask.sum(dim=1)
        if torch.compiler.is_exporting() or len(input_ids) < 2 * self.groups:
            return self._encode(input_ids, attention_mask, lengths)
        order = lengths.argsort()
        pooled = []
        for rows in order.chunk(self.groups):
            longest = int(lengths[rows[-1]])
            pooled.append(self._encode(input_ids[rows, :longest], attention_mask[rows, :longest], lengths[rows]))
        return torch.cat(pooled)[order.argsort()]

    def _encode(self, input_ids: Tensor, attention_mask: Tensor, lengths: Tensor) -> Tensor:
        if self.training and self.word_dropout > 0:
            unknown = torch.rand(input_ids.shape, device=input_ids.device) < self.word_dropout
            input_ids = input_ids.masked_fill(unknown & attention_mask, UNK_ID)
        words = self.dropout(self.word_embedding(input_ids))
        states = self.forward_lstm(words)
        if self.backward_lstm is not None:
            # Turn each caption's own tokens around, leaving the padding behind them.
            position = torch.arange(input_ids.shape[1], device=input_ids.device)
            turned = torch.where(attention_mask, lengths[:, None] - 1 - position, position)[:, :, None]
            backward = self.backward_lstm(words.gather(1, turned.expand_as(words)))
            states = torch.cat([states, backward.gather(1, turned.expand_as(backward))], dim=2)
        pooled = self._pool(states, attention_mask, lengths)
        return torch.cat([pooled, _mean(words, attention_mask, lengths)], dim=1) if self.mean_of_words else pooled

    def _pool(self, states: Tensor, attention_mask: Tensor, lengths: Tensor) -> Tensor:
        """``[N, L, num_features]`` → ``[N, num_features]``."""
        if self.pooling == "max":
            return states.masked_fill(~attention_mask[:, :, None], torch.finfo(states.dtype).min).amax(dim=1)
        if self.pooling == "mean":
            return _mean(states, attention_mask, lengths)
        half = self.forward_lstm.hidden_dim
        last = (lengths - 1)[:, None, None].expand(-1, 1, half)
        ends = [states[:, :, :half].gather(1, last).squeeze(1)]
        if self.backward_lstm is not None:
            ends.append(states[:, 0, half:])
        return torch.cat(ends, dim=1)


def _mean(states: Tensor, attention_mask: Tensor, lengths: Tensor) -> Tensor:
    """``[N, L, D]`` → ``[N, D]``, over real tokens."""
    return (states * attention_mask[:, :, None]).sum(dim=1) / lengths[:, None]


class _Stack(nn.Module):
    """LSTM layers with dropout between them; `nn.LSTM`'s own multi-layer dropout has been wrong on MPS."""

    def __init__(self, input_dim: int, hidden_dim: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        sizes = [input_dim] + [hidden_dim] * (num_layers - 1)
        self.hidden_dim = hidden_dim
        self.layers = nn.ModuleList(nn.LSTM(size, hidden_dim, batch_first=True) for size in sizes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, words: Tensor) -> Tensor:
        """``[N, L, input_dim]`` → ``[N, L, hidden_dim]``."""
        for number, layer in enumerate(self.layers):
            words, _ = layer(self.dropout(words) if number else words)
        return words
