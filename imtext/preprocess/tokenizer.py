"""Convert a text to model input: the same code for training and search, without torch."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import tokenizers

from imtext.errors import ConfigError

# Tried in this order if a tokenizer.json does not configure padding. Any token will do: the mask hides it.
PADDING_NAMES = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "</s>")


class Tokens(NamedTuple):
    """N texts as input of the text tower, padded to the same length."""

    input_ids: npt.NDArray[np.int64]  # [N, L]
    attention_mask: npt.NDArray[np.bool_]  # [N, L], True on real tokens, which come first


@dataclass(frozen=True)
class Vocabulary:
    """The facts about a tokenizer that text towers, checkpoints and manifests need.

    Attributes:
        kind: ``words`` if learnt from training captions, ``pretrained`` if read from a `tokenizer.json`.
        size: number of ids, special tokens included.
        pad_id: id of the padding token.
        unk_id: id of the unknown token; None if the tokenizer can spell any word.
        max_length: maximum number of tokens of a text, special tokens included; longer texts are cut.
        fixed_length: every text is padded to `max_length`, because the text tower also reads the padding (SigLIP).
    """

    kind: str
    size: int
    pad_id: int
    unk_id: int | None
    max_length: int
    fixed_length: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in checkpoints and manifests."""
        return asdict(self)


class Tokenizer(Protocol):
    """Turns texts into token ids. Bundles and checkpoints carry a `JsonTokenizer`."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Kind, size, special ids and maximum length."""

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """N texts → ids and mask ``[N, L]``. Every text has at least one real token."""

    def unknown_words(self, text: str) -> list[str]:
        """Words that are not in the vocabulary, in order."""

    def cut_words(self, text: str) -> list[str]:
        """Words beyond the maximum length, which the model does not read, in order."""

    def knows(self, text: str) -> bool:
        """Whether any word of the text is in the vocabulary; punctuation marks do not count."""

    def to_json(self) -> str:
        """The content of a `tokenizer.json`."""


class JsonTokenizer:
    """A `tokenizer.json` of the `tokenizers` library, learnt from captions or taken from a pretrained text encoder.

    Args:
        backend: the library's tokenizer, with truncation enabled. Its padding is replaced: at the end, and to the
            longest text unless `fixed_length` is set.
        kind: see `Vocabulary`.
        fixed_length: see `Vocabulary`.

    Raises:
        ConfigError: there is no padding token or no maximum length.
    """

    def __init__(self, backend: tokenizers.Tokenizer, kind: str = "pretrained", fixed_length: bool = False) -> None:
        if backend.truncation is None:
            raise ConfigError("The tokenizer has no maximum length: set data.max_text_length")
        pad, max_length = _padding_token(backend), int(backend.truncation["max_length"])
        pad_id = backend.token_to_id(pad)
        if pad_id is None:
            raise ConfigError(f"The tokenizer's padding token {pad!r} is not in its vocabulary")
        backend.enable_truncation(max_length)  # the end of a text is cut, whatever the file says
        backend.enable_padding(pad_id=pad_id, pad_token=pad, length=max_length if fixed_length else None)
        size = max(backend.get_vocab().values()) + 1  # there may be gaps, so this is not the number of entries
        self._vocabulary = Vocabulary(kind, size, pad_id, _unknown_id(backend), max_length, fixed_length)
        self._backend = backend
        # Truncation is part of the library object's state, so finding the cut words takes a second object.
        self._uncut = tokenizers.Tokenizer.from_str(backend.to_str())
        self._uncut.no_truncation()

    @property
    def vocabulary(self) -> Vocabulary:
        """Kind, size, special ids and maximum length."""
        return self._vocabulary

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """N texts → ids and mask ``[N, L]``, padded to the longest text, or with `fixed_length` to `max_length`."""
        encodings = self._backend.encode_batch_fast([_clean(text) for text in texts])
        if not any(encoding.ids for encoding in encodings):
            shape = (len(encodings), 1 if encodings else 0)
            ids, mask = np.full(shape, self._vocabulary.pad_id), np.zeros(shape, dtype=np.bool_)
        else:
            ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
            mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.bool_)
        # Tokenizers without special tokens turn an empty text into no tokens. One padding token takes their place.
        mask[:, :1] |= ~mask.any(axis=1, keepdims=True)
        return Tokens(ids, mask)

    def unknown_words(self, text: str) -> list[str]:
        """Words that are not in the vocabulary, in order; none if the tokenizer can spell any word.

        Punctuation marks are no words, even if the tokenizer, as of an older checkpoint, takes them for such.
        """
        unknown = [word for word, _, number in self._words(text) if number == self._vocabulary.unk_id]
        return [word for word in unknown if not all(unicodedata.category(mark)[0] == "P" for mark in word)]

    def cut_words(self, text: str) -> list[str]:
        """Words beyond the maximum length, which the model does not read; partly cut words are included."""
        clean = _clean(text)
        if len(self._uncut.encode(clean).ids) <= self._vocabulary.max_length:
            return []
        kept = self._backend.encode(clean)
        spans = zip(kept.offsets, kept.special_tokens_mask, strict=True)
        read = max((end for (_, end), special in spans if not special), default=0)  # characters that are read
        words = re.finditer(r"\S+", clean)
        return [word[0] for word in words if _has_letters(clean[max(word.start(), read) : word.end()])]

    def knows(self, text: str) -> bool:
        """Whether any word of the text is in the vocabulary; punctuation marks do not count."""
        # The token is checked as well, because some tokenizers put a separate space marker before an unknown word.
        return any(
            number != self._vocabulary.unk_id and _has_letters(word) and _has_letters(token)
            for word, token, number in self._words(text)
        )

    def to_json(self) -> str:
        """The content of a `tokenizer.json`."""
        return str(self._backend.to_str())

    def _words(self, text: str) -> list[tuple[str, str, int]]:
        """The parts of a text with their tokens and ids, special tokens left out."""
        clean = _clean(text)
        encoding = self._backend.encode(clean)
        parts = zip(encoding.offsets, encoding.tokens, encoding.ids, strict=True)
        return [(clean[start:end], token, number) for (start, end), token, number in parts if end > start]


def load_tokenizer(
    content: str | bytes, kind: str = "pretrained", max_length: int | None = None, fixed_length: bool = False
) -> JsonTokenizer:
    """Read the content of a `tokenizer.json`.

    Args:
        content: content of the file.
        kind: see `Vocabulary`.
        max_length: maximum number of tokens of a text; ignored if the file sets a lower one.
        fixed_length: see `Vocabulary`.

    Raises:
        ConfigError: the content is not a tokenizer, or has no padding token or no maximum length.
    """
    try:
        text = content.decode() if isinstance(content, bytes) else content
        backend = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the library raises plain Exception
        raise ConfigError(f"This is not a tokenizer.json: {str(error).splitlines()[0]}") from error
    own = backend.truncation["max_length"] if backend.truncation else None
    if max_length is not None and (own is None or own > max_length):
        backend.enable_truncation(max_length)
    return JsonTokenizer(backend, kind, fixed_length)


def _padding_token(backend: tokenizers.Tokenizer) -> str:
    if backend.padding is not None:
        return str(backend.padding["pad_token"])
    known = [name for name in PADDING_NAMES if backend.token_to_id(name) is not None]
    if not known:
        raise ConfigError(
            f"The tokenizer has no padding token: its tokenizer.json must configure padding, or contain one of "
            f"{', '.join(PADDING_NAMES)}"
        )
    return known[0]


def _unknown_id(backend: tokenizers.Tokenizer) -> int | None:
    """Id of the unknown token: Unigram models store the id; word, WordPiece and BPE models store the token."""
    model: dict[str, Any] = json.loads(backend.to_str())["model"]
    if (number := model.get("unk_id")) is not None:
        return int(number)
    token = model.get("unk_token")
    return backend.token_to_id(token) if token is not None else None


def _has_letters(word: str) -> bool:
    return any(map(str.isalnum, word))


def _clean(text: str) -> str:
    """Replace surrogates, which file names can hold and the library refuses."""
    return text.encode("utf-8", "replace").decode()
