"""Text towers: tokens ``[N, L]`` → features ``[N, num_features]``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from imtext.models.tower import Tower
from imtext.preprocess.tokenizer import Tokenizer


class TextEncoder(Tower):
    """A text tower: a sequence of blocks, counted from the words.

    A subclass defines `num_features`, `blocks` and `forward`. Its constructor takes `vocabulary` as a keyword-only
    argument (`imtext.preprocess.tokenizer.Vocabulary`: size, special ids, maximum length), which the program supplies.

    Attributes:
        num_pretrained: number of blocks, from the words up, with weights that much text was read for; they learn at
            low rates only.
    """

    num_pretrained: int = 0

    @classmethod
    def read_tokenizer(cls, settings: Mapping[str, Any], max_length: int) -> Tokenizer | None:
        """The tokenizer that pretrained weights need; None for the tokenizer of the data.

        Args:
            settings: of this tower, as its constructor takes them.
            max_length: maximum number of tokens of a text; the weights may allow less.

        Raises:
            ConfigError: the tokenizer cannot be found or read.
        """
        return None

    @abstractmethod
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """``[N, L]`` int64 and ``[N, L]`` bool (True on real tokens, which come first) → ``[N, num_features]``."""

    @property
    def wants_captions(self) -> bool:
        """Should `read` be called with all training captions before the epoch begins?"""
        return False

    def read(self, input_ids: Tensor, attention_mask: Tensor) -> None:
        """Get ready for training captions ``[N, L]`` and ``[N, L]``, as of `forward`, on the CPU."""
        raise NotImplementedError(f"{type(self).__name__} reads captions in batches only")

    @property
    def wants_word_vectors(self) -> int | None:
        """Size of the word vectors that `start_from` needs before training; None for no vectors."""
        return None

    def start_from(self, word_vectors: Tensor) -> None:
        """Initialise from word vectors ``[vocabulary.size, wants_word_vectors]`` with a standard deviation of 1."""
        raise NotImplementedError(f"{type(self).__name__} does not start from word vectors")
