"""Files of word vectors: every format, and broken files by line."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from imtext.errors import ConfigError
from imtext.models.word_files import read_matrix, read_words

GLOVE = "the 1 2\nDog 3 4\n. . 5 6\ndog 7 8\ncat 9 10\n"


def binary(header: bytes = b"2 3\n") -> bytes:
    return header + b"dog " + struct.pack("<3f", 1, 2, 3) + b"\ncat " + struct.pack("<3f", 4, 5, 6)


@pytest.mark.parametrize("header", ["", "5 2\n"])
def test_text(tmp_path: Path, header: str) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(header + GLOVE)
    words, vectors = read_words(path, 10, lower_case=False)
    assert words == ["the", "Dog", ". .", "dog", "cat"]
    assert vectors.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    words, vectors = read_words(path, 3, lower_case=True)
    assert words == ["the", "dog", ". ."]
    assert vectors[1].tolist() == [3, 4]  # the more frequent one


def test_binary(tmp_path: Path) -> None:
    path = tmp_path / "vectors.bin"
    path.write_bytes(binary())
    words, vectors = read_words(path, 10, lower_case=True)
    assert words == ["dog", "cat"]
    assert vectors.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert read_words(path, 1, lower_case=True)[0] == ["dog"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"the 1 2\ndog 3\n", "line 2: there should be a word and 2 numbers"),
        ("b.txt", b"the 1 2\ndog 3 x\n", "line 2"),
        ("c.txt", b"nothing\n", "line 1"),
        ("d.txt", b"", "no word vectors"),
        ("e.txt", b"the 1 nan\n", "infinite or no numbers"),
        ("f.txt", binary(), "line 2.*end with .bin"),
        ("g.bin", binary()[:-2], "word 2 of 2: the file is cut off"),
        ("h.bin", b"3 3" + b"x" * 5000, "line 1: word2vec's binary format"),
        ("i.bin", b"1 3\n" + b"x" * 5000, "word 1 of 1"),
        ("j.bin", b"3 999999999999\n" + b"x" * 5000, "line 1"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_words(tmp_path / name, 10, lower_case=True)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"path=.*none\.txt cannot be read: No such file"):
        read_words(tmp_path / "none.txt", 10, lower_case=True)
    with pytest.raises(ConfigError, match=r"none\.safetensors is not a readable"):
        read_matrix(tmp_path / "none.safetensors")


def test_matrices(tmp_path: Path) -> None:
    vectors = torch.randn(3, 2).half()
    save_file({"embedding.weight": vectors}, tmp_path / "wordllama.safetensors")
    torch.testing.assert_close(read_matrix(tmp_path / "wordllama.safetensors"), vectors.float())
    shared = {"embeddings": vectors, "mapping": torch.tensor([2, 0, 0, 1]), "weights": torch.tensor([1.0, 2, 3, 4])}
    save_file(shared, tmp_path / "model2vec.safetensors")
    expected = vectors.float()[[2, 0, 0, 1]] * torch.tensor([[1.0], [2], [3], [4]])
    torch.testing.assert_close(read_matrix(tmp_path / "model2vec.safetensors"), expected)
    save_file({"other": vectors}, tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match=r"called embeddings or embedding\.weight; its tensors are other"):
        read_matrix(tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"broken")
    with pytest.raises(ConfigError, match=r"broken\.safetensors is not a readable"):
        read_matrix(tmp_path / "broken.safetensors")
