"""Word vectors from a file as a text tower."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
import torch
from tokenizers import models, normalizers, pre_tokenizers
from torch import Tensor

from imtext.errors import ConfigError
from imtext.models.bow import BagOfWords
from imtext.models.word_files import read_matrix, read_words
from imtext.preprocess.tokenizer import JsonTokenizer, Tokenizer, Vocabulary, load_tokenizer

PAD, UNK = "[PAD]", "[UNK]"
SAFETENSORS = ".safetensors"


class StaticEncoder(BagOfWords):
    """The weighted mean of word vectors that were learnt elsewhere, such as GloVe's.

    The weight of every word is learnt; the vectors stay as they are, unless `train_vectors` is set. Words that occur in
    no caption keep vectors like those of similar words, so that they can be searched for. The file brings its own
    tokenizer. See `BagOfWords` for the weights.

    Args:
        path: text file of word2vec, fastText or GloVe, binary file of word2vec (``.bin``), or matrix of model2vec or
            wordllama (``.safetensors``).
        tokenizer: path of the `tokenizer.json` of a safetensors file; None for the file of this name beside it.
        word_dim: size of a word vector; None for that of the file.
        max_words: words to read from a text or binary file, in which the most frequent words come first.
        lower_case: read a text or binary file, and all captions, in lower case.
        train_vectors: the vectors learn, too.
        dropout: on word vectors.
        word_dropout: share of words that are replaced by the unknown token in training.
        word_scale: standard deviation to which all vectors are scaled.
        vocabulary: vocabulary of the tokenizer; supplied by the program.

    Raises:
        ConfigError: the file cannot be read or does not fit its tokenizer, or a value is out of range.
    """

    def __init__(
        self,
        path: str | None = None,
        tokenizer: str | None = None,
        word_dim: int | None = None,
        max_words: int = 50_000,
        lower_case: bool = True,
        train_vectors: bool = False,
        dropout: float = 0.1,
        word_dropout: float = 0.0,
        word_scale: float = 1.0,
        *,
        vocabulary: Vocabulary,
    ) -> None:
        vectors = _read_vectors(Path(path).expanduser(), max_words, lower_case) if path is not None else None
        dim = vectors.shape[1] if vectors is not None else word_dim
        if dim is None:
            raise ConfigError("model.text_encoder.path is needed: the file of the word vectors")
        if word_dim not in (None, dim):
            raise ConfigError(f"model.text_encoder.word_dim={word_dim}: the vectors in {path} have {dim} numbers")
        super().__init__(dim, dropout, word_dropout, word_scale=word_scale, vocabulary=vocabulary)
        if vectors is not None:
            if len(vectors) < vocabulary.size:
                raise ConfigError(
                    f"{path} has {len(vectors):,} vectors, but the tokenizer has {vocabulary.size:,} tokens: they do "
                    "not belong together. model.text_encoder.tokenizer=<path> names another tokenizer.json."
                )
            self.start_from(vectors[: vocabulary.size] / vectors.std().clamp(min=1e-6))
        if not train_vectors:  # a buffer is saved with the weights and never learns, whatever `freeze` says
            weight = self.word_embedding.weight.detach()
            del self.word_embedding.weight
            self.word_embedding.register_buffer("weight", weight)

    @classmethod
    def read_tokenizer(cls, settings: Mapping[str, Any], max_length: int) -> Tokenizer:
        """The tokenizer of the file: its words, or the `tokenizer.json` beside a safetensors file.

        Args:
            settings: of this tower.
            max_length: maximum number of tokens of a text.

        Raises:
            ConfigError: there is no such file, or it is no tokenizer.
        """
        if settings.get("path") is None:
            raise ConfigError("model.text_encoder.path is needed: the file of the word vectors")
        path, lower_case = Path(settings["path"]).expanduser(), bool(settings.get("lower_case", True))
        if path.suffix != SAFETENSORS:
            words, _ = read_words(path, int(settings.get("max_words", 50_000)), lower_case)
            return _tokenizer_of(words, lower_case, max_length)
        given = settings.get("tokenizer")
        file = Path(given).expanduser() if given is not None else path.with_name("tokenizer.json")
        try:
            content = json.loads(file.read_bytes())
            # The vectors are those of words: there are none of the beginning and the end of a text.
            return load_tokenizer(json.dumps({**content, "post_processor": None}), max_length=max_length)
        except (OSError, ValueError, TypeError, ConfigError) as error:
            raise ConfigError(
                f"{path} needs its tokenizer, and {file.absolute()} is not a usable one ({error}). "
                "model.text_encoder.tokenizer=<path> names another tokenizer.json."
            ) from error

    def settings_without_files(self) -> dict[str, Any]:
        """No file, and the size of the vectors."""
        return {"path": None, "tokenizer": None, "word_dim": self.num_features}


def _read_vectors(path: Path, max_words: int, lower_case: bool) -> Tensor:
    """Vectors by token id; zeros for the padding and the unknown token of a file of words."""
    if path.suffix == SAFETENSORS:
        return read_matrix(path)
    _, vectors = read_words(path, max_words, lower_case)
    return torch.cat([vectors.new_zeros(2, vectors.shape[1]), vectors])


def _tokenizer_of(words: Sequence[str], lower_case: bool, max_length: int) -> JsonTokenizer:
    """A tokenizer of words and punctuation marks; the ids follow the order of the words."""
    ids = {token: number for number, token in enumerate([PAD, UNK, *words])}
    backend = tokenizers.Tokenizer(models.WordLevel(ids, unk_token=UNK))
    lower = [normalizers.Lowercase()] if lower_case else []
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), *lower, normalizers.Strip()])
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.enable_truncation(max_length)
    backend.enable_padding(pad_id=0, pad_token=PAD)
    return JsonTokenizer(backend)
