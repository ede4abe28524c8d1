"""Word vectors from a file: their tokenizer, what learns, and checkpoints without the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from imtext.errors import ConfigError
from imtext.models import StaticEncoder
from imtext.preprocess.tokenizer import Tokenizer
from imtext.train import train
from imtext.training.checkpoints import load_model
from tests.conftest import Compose
from tests.models.captions import check_graph, check_learning, check_padding
from tests.models.tiny_hf import tiny_tokenizer
from tests.runs import QUICK

WORDS = [f"word{number}" for number in range(48)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """48 words of 4 numbers; with the padding and the unknown token, the size of the vocabulary of the checks."""
    torch.manual_seed(0)
    lines = [f"{word} {' '.join(map(str, torch.randn(4).tolist()))}" for word in WORDS]
    (tmp_path / "vectors.txt").write_text("\n".join(lines))
    return tmp_path / "vectors.txt"


def built(**settings: Any) -> tuple[StaticEncoder, Tokenizer]:
    tokenizer = StaticEncoder.read_tokenizer(settings, 64)
    return StaticEncoder(**settings, vocabulary=tokenizer.vocabulary), tokenizer


def test_the_tokenizer_knows_the_words_of_the_file(path: Path) -> None:
    tower, tokenizer = built(path=str(path), max_words=30)
    assert tokenizer.vocabulary.size == 32
    ids, mask = tokenizer(["WORD3 word40, word0", "word29"])
    assert ids.tolist() == [[5, 1, 1, 2], [31, 0, 0, 0]]
    assert mask.sum() == 5
    assert tokenizer.unknown_words("word3 word40") == ["word40"]
    assert tower.word_embedding.weight[:2].eq(0).all()
    assert tower.word_embedding.weight.std().item() == pytest.approx(1)
    assert StaticEncoder.read_tokenizer({"path": str(path), "lower_case": False}, 64).knows("WORD3") is False


def test_vectors_learn_if_asked(path: Path) -> None:
    frozen, _ = built(path=str(path))
    assert [name for name, _ in frozen.named_parameters()] == ["log_weight.weight"]
    learning, _ = built(path=str(path), train_vectors=True)
    assert len(list(learning.parameters())) == 2
    assert list(frozen.state_dict()) == ["word_embedding.weight", "log_weight.weight"]
    assert set(frozen.state_dict()) == set(learning.state_dict())
    for tower in (frozen, learning):
        check_padding(tower)
        check_learning(tower)
    check_graph(frozen)


def test_safetensors_bring_their_tokenizer(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(["dog", "cat", "a"])
    size, file = tokenizer.get_vocab_size(), tmp_path / "model.safetensors"
    save_file({"embeddings": torch.randn(size, 4)}, file)
    with pytest.raises(ConfigError, match=r"needs its tokenizer, and .*tokenizer\.json is not a usable one"):
        built(path=str(file))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    tower, ours = built(path=str(file))
    assert tower.num_features == 4
    assert ours(["a dog"]).input_ids.tolist() == [[tokenizer.token_to_id("a"), tokenizer.token_to_id("dog")]]
    save_file({"embeddings": torch.randn(size - 1, 4)}, tmp_path / "few.safetensors")
    with pytest.raises(ConfigError, match="do not belong together"):
        built(path=str(tmp_path / "few.safetensors"), tokenizer=str(tmp_path / "tokenizer.json"))


def test_mistakes(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"text_encoder\.path is needed"):
        built()
    with pytest.raises(ConfigError, match=r"word_dim=5: the vectors in .* have 4"):
        built(path=str(path), word_dim=5)


def test_rebuilt_without_the_file(path: Path) -> None:
    tower, tokenizer = built(path=str(path))
    path.unlink()
    again = StaticEncoder(**tower.settings_without_files(), vocabulary=tokenizer.vocabulary)
    again.load_state_dict(tower.state_dict())
    ids, mask = map(torch.from_numpy, tokenizer(["word1 word2"]))
    assert again.eval()(ids, mask).equal(tower.eval()(ids, mask))


@pytest.mark.slow
def test_a_run(path: Path, compose: Compose, tmp_path: Path) -> None:
    quick = [setting for setting in QUICK if "text_encoder" not in setting]
    words = {"a": 1, "red": 2, "blue": 3, "circle": 4, "square": 5, "ring": 6, "on": 7}
    path.write_text("".join(f"{word} {number} {-number} 1\n" for word, number in words.items()))
    tower = ["model/text_encoder=static", f"model.text_encoder.path={path}", "trainer.max_epochs=1"]
    train(compose(*quick, *tower))
    path.unlink()
    trained = load_model(tmp_path / "runs/run/checkpoints/last.ckpt")
    assert trained.encode_texts(["a red circle"]).shape == (1, 32)
