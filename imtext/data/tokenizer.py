"""Words to numbers, learnt from training captions and saved inside every checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

from imtext.errors import ConfigError
from imtext.tokenizer import Vocabulary

PAD, UNK, BOS, EOS = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[BOS]", "[EOS]")
PAD_ID, UNK_ID = 0, 1


class CaptionTokenizer:
    """A lower-cased word vocabulary around a `tokenizers.Tokenizer`.

    Every caption becomes ``[BOS] words… [EOS]``, cut to `max_text_length` tokens, so that even a caption of
    unknown or no words has something to read.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    @classmethod
    def train(
        cls, captions: Iterable[str], vocab_size: int = 10_000, max_text_length: int = 64, min_word_count: int = 1
    ) -> CaptionTokenizer:
        """Learn the vocabulary: the most frequent words, ties in alphabetical order.

        Args:
            captions: **training** captions only; words of validation and test must stay unknown.
            vocab_size: at most this many entries, the four special ones included.
            max_text_length: longest caption in tokens, `[BOS]` and `[EOS]` included.
            min_word_count: words seen less often become `[UNK]`.
        """
        if vocab_size <= len(SPECIAL_TOKENS):
            raise ConfigError(f"data.vocab_size must be above {len(SPECIAL_TOKENS)}, not {vocab_size}")
        if max_text_length < 3:
            raise ConfigError(f"data.max_text_length must be at least 3, not {max_text_length}")
        tokenizer = Tokenizer(models.WordLevel(unk_token=UNK))
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip()])
        # Words, and each mark of punctuation by itself.
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.WordLevelTrainer(
            vocab_size=vocab_size,
            min_frequency=min_word_count,
            special_tokens=list(SPECIAL_TOKENS),
            show_progress=False,
        )
        tokenizer.train_from_iterator(captions, trainer)
        ids = [(token, tokenizer.token_to_id(token)) for token in (BOS, EOS)]
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A {EOS}", special_tokens=ids)
        tokenizer.enable_truncation(max_text_length)
        return cls(tokenizer)

    @property
    def vocab_size(self) -> int:
        """Number of entries, special ones included."""
        return int(self.tokenizer.get_vocab_size())

    @property
    def vocabulary(self) -> Vocabulary:
        """Size, special ids and maximum length."""
        truncation = self.tokenizer.truncation
        return Vocabulary("words", self.vocab_size, PAD_ID, UNK_ID, truncation["max_length"] if truncation else 64)

    def __call__(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Captions → `input_ids` ``[N, L]`` int64 and `attention_mask` ``[N, L]`` bool, L the longest of them."""
        encodings = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(captions))]
        longest = max(map(len, encodings), default=0)
        ids = torch.full((len(encodings), longest), PAD_ID)
        mask = torch.zeros(len(encodings), longest, dtype=torch.bool)
        for row, tokens in enumerate(encodings):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = True
        return ids, mask

    def to_json(self) -> str:
        """The text of a `tokenizer.json`."""
        return str(self.tokenizer.to_str())

    @classmethod
    def from_json(cls, text: str) -> CaptionTokenizer:
        """The inverse of `to_json`."""
        return cls(Tokenizer.from_str(text))
