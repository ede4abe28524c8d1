"""The one definition of how a text becomes model input. Free of torch, so search can use it too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import tokenizers

from imtext.errors import ConfigError

PADDING_NAMES = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>")  # where a tokenizer.json has no padding of its own


class Tokens(NamedTuple):
    """N texts as the text tower reads them, padded to the longest of them."""

    input_ids: npt.NDArray[np.int64]  # [N, L]
    attention_mask: npt.NDArray[np.bool_]  # [N, L], True on real tokens, which come first


@dataclass(frozen=True)
class Vocabulary:
    """What a text tower and a bundle's manifest need to know of a tokenizer.

    Attributes:
        kind: ``words`` for a vocabulary learnt from training captions, ``pretrained`` for a given `tokenizer.json`.
        size: number of entries, special ones included.
        pad_id: fills short texts up.
        unk_id: stands for unknown words; None where a tokenizer spells them out.
        max_length: longest text in tokens, special ones included; what is longer is cut.
    """

    kind: str
    size: int
    pad_id: int
    unk_id: int | None
    max_length: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in checkpoints and manifests."""
        return asdict(self)


class Tokenizer(Protocol):
    """Texts to numbers. `JsonTokenizer` is the one that bundles carry; tests have another."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Size, special ids, maximum length and kind."""

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """N texts → ids and mask ``[N, L]``."""

    def unknown_words(self, text: str) -> list[str]:
        """Words that the model has never seen, in order; none for tokenizers without an unknown token."""

    def cut_words(self, text: str) -> list[str]:
        """The words beyond the maximum length, which the model does not read."""

    def knows(self, text: str) -> bool:
        """Whether the model has seen any word of a text; punctuation marks are no words."""

    def to_json(self) -> str:
        """The text of a `tokenizer.json`."""


class JsonTokenizer:
    """Any `tokenizer.json` of the `tokenizers` library: learnt from captions, or of a pretrained text encoder.

    Args:
        backend: with its own normalisation, words, special tokens; truncation must be on.
        kind: see `Vocabulary`.

    Raises:
        ConfigError: no padding token can be found, or no maximum length is set.
    """

    def __init__(self, backend: tokenizers.Tokenizer, kind: str = "pretrained") -> None:
        if backend.truncation is None:
            raise ConfigError("The tokenizer has no maximum length: set data.max_text_length")
        pad, max_length = _padding_token(backend), int(backend.truncation["max_length"])
        pad_id = backend.token_to_id(pad)
        if pad_id is None:
            raise ConfigError(f"The tokenizer pads with {pad!r}, which is not in its vocabulary")
        backend.enable_padding(pad_id=pad_id, pad_token=pad)
        self._vocabulary = Vocabulary(kind, int(backend.get_vocab_size()), pad_id, _unknown_id(backend), max_length)
        self._backend = backend
        # Truncation and padding are state of the library's object; to see what is cut, a second one without them.
        self._whole = tokenizers.Tokenizer.from_str(backend.to_str())
        self._whole.no_truncation()
        self._whole.no_padding()

    @property
    def vocabulary(self) -> Vocabulary:
        """Size, special ids, maximum length and kind."""
        return self._vocabulary

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """N texts → ids and mask ``[N, L]``, padded to the longest of them."""
        encodings = self._backend.encode_batch_fast([_clean(text) for text in texts])
        shape = (len(encodings), len(encodings[0].ids) if encodings else 0)
        ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64).reshape(shape)
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.bool_).reshape(shape)
        return Tokens(ids, mask)

    def unknown_words(self, text: str) -> list[str]:
        """Words that the model has never seen, in order; none for tokenizers without an unknown token."""
        return [word for word, number in self._words(text) if number == self._vocabulary.unk_id]

    def cut_words(self, text: str) -> list[str]:
        """The words beyond the maximum length, which the model does not read."""
        clean = _clean(text)
        if len(self._whole.encode(clean).ids) <= self._vocabulary.max_length:
            return []
        kept = self._backend.encode(clean)
        read_to = max((end for (_, end), special in zip(kept.offsets, kept.special_tokens_mask, strict=True)
                       if not special), default=0)  # fmt: skip
        return clean[read_to:].split()

    def knows(self, text: str) -> bool:
        """Whether the model has seen any word of a text; punctuation marks are no words."""
        return any(
            number != self._vocabulary.unk_id and any(map(str.isalnum, word)) for word, number in self._words(text)
        )

    def to_json(self) -> str:
        """The text of a `tokenizer.json`."""
        return str(self._backend.to_str())

    def _words(self, text: str) -> list[tuple[str, int]]:
        clean = _clean(text)
        encoding = self._backend.encode(clean)
        spans = zip(encoding.offsets, encoding.ids, strict=True)
        return [(clean[start:end], number) for (start, end), number in spans if end > start]


def load_tokenizer(content: str | bytes, kind: str = "pretrained", max_length: int | None = None) -> JsonTokenizer:
    """Read the content of a `tokenizer.json`.

    Args:
        content: of the file.
        kind: see `Vocabulary`.
        max_length: tokens of the longest text, where the file does not set a shorter one.

    Raises:
        ConfigError: it is not a tokenizer, or one without padding token or maximum length.
    """
    text = content.decode() if isinstance(content, bytes) else content
    try:
        backend = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the library raises plain Exception
        raise ConfigError(f"not a tokenizer.json: {str(error).splitlines()[0]}") from error
    own = backend.truncation["max_length"] if backend.truncation else None
    if max_length is not None and (own is None or own > max_length):
        backend.enable_truncation(max_length)
    return JsonTokenizer(backend, kind)


def _padding_token(backend: tokenizers.Tokenizer) -> str:
    if backend.padding is not None:
        return str(backend.padding["pad_token"])
    known = [name for name in PADDING_NAMES if backend.token_to_id(name) is not None]
    if not known:
        raise ConfigError(f"The tokenizer has no padding token; looked for {', '.join(PADDING_NAMES)}")
    return known[0]


def _unknown_id(backend: tokenizers.Tokenizer) -> int | None:
    """Words, word pieces and BPE name the unknown token, Unigram gives its number."""
    model: dict[str, Any] = json.loads(backend.to_str())["model"]
    if (number := model.get("unk_id")) is not None:
        return int(number)
    token = model.get("unk_token")
    return backend.token_to_id(token) if token is not None else None


def _clean(text: str) -> str:
    """Surrogates, which file names can hold, are no text for the library."""
    return text.encode("utf-8", "replace").decode()
