"""Read word vectors that others have learnt: word2vec, GloVe, fastText and safetensors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from imtext.errors import ConfigError

Entry = tuple[str, npt.NDArray[np.float32]]
NAMES = ("embeddings", "embedding.weight")  # of the vectors in a file of model2vec, and of wordllama
MAX_WORD = 1_000  # bytes
MAX_DIM = 100_000


@lru_cache(maxsize=1)  # the tokenizer needs the words, the tower the vectors
def read_words(path: Path, max_words: int, lower_case: bool) -> tuple[list[str], Tensor]:
    """Read the first words of a file, which are the most frequent ones.

    Args:
        path: word2vec's binary format if the name ends with ``.bin``. Otherwise text, a word and its numbers in each
            line, as word2vec and fastText (whose first line gives the number of words and of numbers) and GloVe write.
        max_words: words to read; the others are left out.
        lower_case: convert the words to lower case; of words that become equal, the first one counts.

    Returns:
        Words, and their vectors ``[number of words, word_dim]`` float32.

    Raises:
        ConfigError: the file cannot be read or is broken; the message names the line or the word.
    """
    found: dict[str, npt.NDArray[np.float32]] = {}
    try:
        with path.open("rb") as file:
            for word, vector in _binary(file, path) if path.suffix == ".bin" else _text(file, path):
                if word:
                    found.setdefault(word.lower() if lower_case else word, vector)
                if len(found) == max_words:
                    break
    except OSError as error:
        raise ConfigError(f"model.text_encoder.path={path} cannot be read: {error.strerror}") from error
    if not found:
        raise ConfigError(f"{path} has no word vectors")
    vectors = torch.from_numpy(np.stack(list(found.values())))
    if not vectors.isfinite().all():
        raise ConfigError(f"{path} is broken: some of its numbers are infinite or no numbers")
    return list(found), vectors


def read_matrix(path: Path) -> Tensor:
    """Read the vectors of tokens ``[number of tokens, dim]`` float32 from a safetensors file.

    The layouts of model2vec (tensor `embeddings`; with `mapping`, several tokens share a vector; `weights` multiply
    the vectors) and of wordllama (tensor `embedding.weight`).

    Raises:
        ConfigError: the file cannot be read, or has no tensor of these names.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"model.text_encoder.path={path} is not a readable safetensors file: {error}") from error
    name = next((name for name in NAMES if name in tensors and tensors[name].ndim == 2), None)
    if name is None:
        raise ConfigError(
            f"{path} has no matrix of vectors called {' or '.join(NAMES)}; its tensors are {', '.join(sorted(tensors))}"
        )
    vectors: Tensor = tensors[name].float()
    if (mapping := tensors.get("mapping")) is not None:
        vectors = vectors[mapping.long()]
    if (weights := tensors.get("weights")) is not None:
        vectors = vectors * weights.float()[:, None]
    return vectors


def _text(file: BinaryIO, path: Path) -> Iterator[Entry]:
    dim = None
    for number, line in enumerate(file, 1):
        text = line.decode("utf-8", "replace").rstrip()
        if number == 1 and (header := _header(text)) is not None:
            dim = header[1]
            continue
        dim = dim or len(text.split(" ")) - 1
        word, *values = text.rsplit(" ", dim)  # some words of GloVe contain spaces
        try:
            vector = np.array(values, dtype=np.float32)
        except ValueError:
            vector = np.empty(0, dtype=np.float32)
        if dim < 1 or len(vector) != dim:
            raise ConfigError(
                f"{path}, line {number}: there should be a word and {max(dim, 1)} numbers, with spaces between them, "
                f"not {text[:40]!r}. Binary files of word2vec end with .bin."
            )
        yield word, vector


def _binary(file: BinaryIO, path: Path) -> Iterator[Entry]:
    header = _header(file.readline(MAX_WORD).decode("utf-8", "replace"))
    if header is None:
        raise ConfigError(f"{path}, line 1: word2vec's binary format begins with the number of words and of dimensions")
    count, dim = header
    for number in range(1, count + 1):
        word = _word(file)
        values = file.read(4 * dim)
        if word is None or len(values) < 4 * dim:
            raise ConfigError(f"{path}, word {number} of {count}: the file is cut off or broken")
        yield word.decode("utf-8", "replace"), np.frombuffer(values, dtype="<f4").astype(np.float32)


def _word(file: BinaryIO) -> bytes | None:
    """The bytes up to the next space; None if there is none."""
    word = bytearray()
    while len(word) < MAX_WORD and (byte := file.read(1)):
        if byte == b" ":
            return bytes(word).lstrip(b"\n")  # some programs end each vector with a line feed
        word += byte
    return None


def _header(line: str) -> tuple[int, int] | None:
    """The number of words and of dimensions, if this is all that a line has."""
    parts = line.split()
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        return None
    count, dim = map(int, parts)
    return (count, dim) if count and 0 < dim <= MAX_DIM else None
