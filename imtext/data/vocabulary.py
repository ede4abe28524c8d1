"""Learn a vocabulary of words from training captions."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from imtext.errors import ConfigError
from imtext.preprocess.tokenizer import JsonTokenizer, load_tokenizer

log = logging.getLogger(__name__)
PAD, UNK, BOS, EOS = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[BOS]", "[EOS]")
# Letters with their accents and digits, or one pictograph. Whatever is between words only separates them.
WORD = Regex(r"[\p{L}\p{M}\p{N}]+|\p{So}")


def learn_vocabulary(
    captions: Iterable[str], vocab_size: int = 10_000, max_text_length: int = 64, min_word_count: int = 1
) -> JsonTokenizer:
    """Build a tokenizer of the most frequent lower-case words; ties are in alphabetical order.

    A caption becomes ``[BOS] words… [EOS]``, so that even an empty caption has tokens. Case, blanks and punctuation
    make no difference: ``RED  Circle!`` and ``red circle`` have the same tokens.

    Args:
        captions: **training** captions only; words that occur only in validation and test must stay unknown.
        vocab_size: maximum number of entries, the four special ones included.
        max_text_length: maximum number of tokens of a caption, `[BOS]` and `[EOS]` included.
        min_word_count: rarer words become `[UNK]`.

    Raises:
        ConfigError: a limit is too small.
    """
    if vocab_size <= len(SPECIAL_TOKENS):
        raise ConfigError(f"data.vocab_size must be above {len(SPECIAL_TOKENS)}, not {vocab_size}")
    if max_text_length < 3:
        raise ConfigError(f"data.max_text_length must be at least 3, not {max_text_length}")
    backend = Tokenizer(models.WordLevel(unk_token=UNK))
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    backend.pre_tokenizer = pre_tokenizers.Split(WORD, behavior="removed", invert=True)
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocab_size,
        min_frequency=min_word_count,
        special_tokens=list(SPECIAL_TOKENS),
        show_progress=False,
    )
    backend.train_from_iterator(captions, trainer)
    ids = [(token, backend.token_to_id(token)) for token in (BOS, EOS)]
    backend.post_processor = processors.TemplateProcessing(single=f"{BOS} $A {EOS}", special_tokens=ids)
    backend.enable_truncation(max_text_length)
    backend.enable_padding(pad_id=backend.token_to_id(PAD), pad_token=PAD)
    return JsonTokenizer(backend, kind="words")


def read_tokenizer(path: str | Path, max_text_length: int) -> JsonTokenizer:
    """Read a `tokenizer.json` that replaces a learnt vocabulary.

    Args:
        path: path of the file.
        max_text_length: maximum number of tokens of a caption; ignored if the file sets a lower one.

    Raises:
        ConfigError: the file does not exist or is not a usable tokenizer.
    """
    if max_text_length < 3:
        raise ConfigError(f"data.max_text_length must be at least 3, not {max_text_length}")
    file = Path(path).expanduser()
    try:
        tokenizer = load_tokenizer(file.read_bytes(), max_length=max_text_length)
    except OSError as error:
        raise ConfigError(f"data.tokenizer={path}: there is no readable file at {file.absolute()}") from error
    except ConfigError as error:
        raise ConfigError(f"data.tokenizer={path}: {error}") from error
    log.info("Using %s; data.vocab_size and data.min_word_count have no effect", file.absolute())
    return tokenizer
