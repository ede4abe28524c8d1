"""A pretrained text encoder beside an LSTM that reads the same tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from rich.progress import track
from torch import Tensor, nn

from imtext.models.hf import HuggingFaceEncoder
from imtext.models.hf_files import Pooling
from imtext.models.lstm import LSTMEncoder
from imtext.models.text_encoder import TextEncoder
from imtext.models.word_encoder import WordInit
from imtext.preprocess.tokenizer import Tokenizer, Vocabulary

AT_ONCE = 64  # captions that are read together
MOST = 500_000  # captions whose features are kept: 0.8 GB at 384 features


class HuggingFaceLSTMEncoder(TextEncoder):
    """Features of a pretrained text encoder, and beside them those of an LSTM with the mean of its words.

    The pretrained encoder knows the language from much text, the LSTM learns from the captions what is to be seen. Its
    blocks come first, so that ``frozen_text_blocks: -2`` of a stage freezes it and lets the LSTM learn. As long as it
    is frozen, it reads every training caption once and keeps the features in memory.

    Args:
        name, weights, architecture, pooling: of the pretrained encoder, see `HuggingFaceEncoder`.
        word_dim, hidden_dim, dropout, word_dropout, word_init, word_scale: of the LSTM, see `RecurrentEncoder`; its
            words are the tokens of the pretrained encoder.
        vocabulary: vocabulary of the tokenizer; supplied by the program.

    Raises:
        ConfigError: the model cannot be found or read, or a value is out of range.
        MissingExtraError: transformers is not installed.
    """

    def __init__(
        self,
        name: str | None = None,
        weights: Literal["default"] | None = "default",
        architecture: dict[str, Any] | None = None,
        pooling: Pooling | None = None,
        word_dim: int = 300,
        hidden_dim: int = 512,
        dropout: float = 0.1,
        word_dropout: float = 0.0,
        word_init: WordInit = "random",
        word_scale: float = 0.05,
        *,
        vocabulary: Vocabulary,
    ) -> None:
        super().__init__()
        self.sentence = HuggingFaceEncoder(name, weights, architecture, pooling, vocabulary=vocabulary)
        self.words = LSTMEncoder(
            word_dim, hidden_dim, dropout=dropout, word_dropout=word_dropout, mean_of_words=True, word_init=word_init,
            word_scale=word_scale, vocabulary=vocabulary,
        )  # fmt: skip
        self.num_features = self.sentence.num_features + self.words.num_features
        self.num_pretrained = self.sentence.num_pretrained
        self._known: dict[bytes, Tensor] | None = None  # rows of one tensor; None: not read yet

    @classmethod
    def read_tokenizer(cls, settings: Mapping[str, Any], max_length: int) -> Tokenizer | None:
        """The tokenizer of the pretrained encoder, see `HuggingFaceEncoder.read_tokenizer`."""
        return HuggingFaceEncoder.read_tokenizer(settings, max_length)

    def settings_without_files(self) -> dict[str, Any]:
        """Those of the pretrained encoder."""
        return self.sentence.settings_without_files()

    @property
    def wants_word_vectors(self) -> int | None:
        """What the LSTM wants."""
        return self.words.wants_word_vectors

    def start_from(self, word_vectors: Tensor) -> None:
        """Start the LSTM from word vectors ``[vocabulary.size, word_dim]``."""
        self.words.start_from(word_vectors)

    @property
    def blocks(self) -> list[nn.Module]:
        """The blocks of the pretrained encoder, then the word embeddings and the LSTM."""
        return [*self.sentence.blocks, *self.words.blocks]

    def freeze(self, blocks: int) -> None:
        """As of every tower; features in memory are forgotten if the pretrained encoder may change from here on."""
        if blocks < len(self.sentence.blocks):
            self._known = None
        super().freeze(blocks)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """``[N, L]`` int64 and ``[N, L]`` bool (True on real tokens, which come first) → ``[N, num_features]``."""
        kept = self.training and self._is_frozen
        sentence = (self._kept if kept else self.sentence)(input_ids, attention_mask)
        return torch.cat([sentence, self.words(input_ids, attention_mask)], dim=1)

    @property
    def wants_captions(self) -> bool:
        """Whether the pretrained encoder is frozen, and has not read the captions yet."""
        return self._known is None and self._is_frozen

    @property
    def _is_frozen(self) -> bool:
        return self.num_frozen >= len(self.sentence.blocks)

    @torch.no_grad()
    def read(self, input_ids: Tensor, attention_mask: Tensor) -> None:
        """Keep the features of captions, as `forward` takes them, as long as the pretrained encoder is frozen.

        All are read before the first batch and in an order of their own, so that their last digits do not depend on the
        batches: a resumed run has others.
        """
        lengths = attention_mask.sum(dim=1).tolist()
        captions = sorted(
            {(length, row[:length].tobytes()) for length, row in zip(lengths, input_ids.numpy(), strict=True)}
        )
        self._known = {}
        if len(captions) > MOST:
            return
        device, kept = next(self.parameters()).device, torch.empty(0)
        for start in track(range(0, len(captions), AT_ONCE), description="Captions", transient=True):
            some = captions[start : start + AT_ONCE]  # of similar length: little padding
            ids = torch.zeros(len(some), some[-1][0], dtype=input_ids.dtype)
            for row, (length, key) in enumerate(some):
                ids[row, :length] = torch.frombuffer(bytearray(key), dtype=input_ids.dtype)
            mask = torch.arange(ids.shape[1]) < torch.tensor([length for length, _ in some])[:, None]
            features = self.sentence(ids.to(device), mask.to(device))
            if not start:
                kept = features.new_empty(len(captions), features.shape[1])  # one tensor: many would scatter in memory
            kept[start : start + len(some)] = features
        self._known = dict(zip([key for _, key in captions], kept, strict=True))

    @torch.no_grad()
    def _kept(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Features of the pretrained encoder, from memory if it has read all of these captions."""
        tokens, lengths = input_ids.cpu().numpy(), attention_mask.sum(dim=1).tolist()
        keys = [row[:length].tobytes() for row, length in zip(tokens, lengths, strict=True)]
        if self._known is not None and all(key in self._known for key in keys):
            return torch.stack([self._known[key] for key in keys])
        features: Tensor = self.sentence(input_ids, attention_mask)
        return features
