"""The base class of text towers that begin with word embeddings."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.models.text_encoder import TextEncoder
from imtext.preprocess.tokenizer import Vocabulary

WordInit = Literal["random", "lsa"]


class WordEncoder(TextEncoder):
    """A text tower that begins with word embeddings, which are learnt.

    Args:
        word_dim: size of a word embedding.
        dropout: on word embeddings.
        word_dropout: share of words that are replaced by the unknown token in training.
        word_init: initial word embeddings: ``random``, or ``lsa``, vectors learnt from the training captions.
        word_scale: standard deviation of the initial word embeddings.
        vocabulary: vocabulary of the tokenizer.

    Raises:
        ConfigError: a value is out of range, or `word_dropout` is used with a tokenizer that has no unknown token.
    """

    def __init__(
        self,
        word_dim: int,
        dropout: float,
        word_dropout: float,
        word_init: WordInit,
        word_scale: float,
        vocabulary: Vocabulary,
    ) -> None:
        super().__init__()
        for name, share in (("dropout", dropout), ("word_dropout", word_dropout)):
            if not 0 <= share < 1:
                raise ConfigError(f"model.text_encoder.{name} must be between 0 and 1, not {share}")
        if word_dropout > 0 and vocabulary.unk_id is None:
            raise ConfigError(
                f"model.text_encoder.word_dropout={word_dropout} replaces words by the unknown token, which this "
                "tokenizer does not have. Set it to 0."
            )
        check_choice("word_init", word_init, WordInit)
        self.word_init, self.word_scale, self.word_dropout = word_init, word_scale, word_dropout
        self.unk_id = vocabulary.unk_id
        self.dropout = nn.Dropout(dropout)
        self.word_embedding = nn.Embedding(vocabulary.size, word_dim, padding_idx=vocabulary.pad_id)
        with torch.no_grad():
            self.word_embedding.weight.mul_(word_scale)

    @property
    def wants_word_vectors(self) -> int | None:
        """`word_dim` if ``word_init=lsa``, else None."""
        return self.word_embedding.embedding_dim if self.word_init == "lsa" else None

    def start_from(self, word_vectors: Tensor) -> None:
        """Start from word vectors ``[vocabulary.size, word_dim]``, multiplied by `word_scale`."""
        with torch.no_grad():
            self.word_embedding.weight.copy_(word_vectors * self.word_scale)

    def drop_words(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """In training, replace the share `word_dropout` of real tokens ``[N, L]`` by the unknown token."""
        # The embedding's flag, not the tower's: a frozen block drops no words.
        if self.word_embedding.training and self.word_dropout > 0 and self.unk_id is not None:
            dropped = torch.rand(input_ids.shape, device=input_ids.device) < self.word_dropout
            input_ids = input_ids.masked_fill(dropped & attention_mask, self.unk_id)
        return input_ids


def check_choice(name: str, value: str, allowed: Any) -> None:
    """Refuse a value of a setting of the text tower that is not one of a `Literal`.

    Raises:
        ConfigError: the message lists the values of `allowed`.
    """
    if value not in get_args(allowed):
        raise ConfigError(f"model.text_encoder.{name} must be one of {', '.join(get_args(allowed))}, not {value!r}")
