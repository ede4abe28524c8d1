"""Learning a vocabulary from captions, and taking a given one."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from imtext.data.vocabulary import UNK, learn_vocabulary, read_tokenizer
from imtext.errors import ConfigError
from tests.data.shared import shapes


def tokens(content: str, numbers: list[int]) -> list[str | None]:
    backend = Tokenizer.from_str(content)
    return [backend.id_to_token(number) for number in numbers]


def test_only_training_words(tmp_path: Path) -> None:
    data = shapes(tmp_path)
    train_words = " ".join(text.lower() for row in data.rows["train"] for text in data.captions[row]).split()
    vocabulary = set(Tokenizer.from_str(data.tokenizer.to_json()).get_vocab())
    assert vocabulary <= {*train_words, "[PAD]", "[UNK]", "[BOS]", "[EOS]"}


def test_most_frequent_words_with_ties_in_alphabetical_order() -> None:
    learnt = learn_vocabulary(["a dog", "a dog runs", "A cat"], vocab_size=7)
    vocabulary = Tokenizer.from_str(learnt.to_json()).get_vocab()
    assert sorted(vocabulary, key=vocabulary.__getitem__) == ["[PAD]", "[UNK]", "[BOS]", "[EOS]", "a", "dog", "cat"]


def test_unknown_words_and_size() -> None:
    tokenizer = learn_vocabulary(["a dog", "a dog runs", "A cat"], vocab_size=6)
    assert tokenizer.vocabulary.size == 6  # four special tokens, and the two most frequent words: a, dog
    assert (tokenizer.vocabulary.kind, tokenizer.vocabulary.pad_id, tokenizer.vocabulary.unk_id) == ("words", 0, 1)
    ids, mask = tokenizer(["A DOG, jumps", ""])
    assert tokens(tokenizer.to_json(), ids[0].tolist()) == ["[BOS]", "a", "dog", UNK, "[EOS]"]
    assert mask.sum(1).tolist() == [5, 2]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("RED  Circle!", "red circle"),
        ("\tred, circle\n", "red circle"),
        ("(red) circle…", "red circle"),
        ("a man\u2019s T-shirt", "a man's t shirt"),
        ("cafe\u0301", "CAFÉ"),
        ("ﬁve ５", "five 5"),
        ("🐶🐶 !", "🐶 🐶"),
        ("$ + ~", ""),
    ],
)
def test_case_blanks_and_punctuation_make_no_difference(text: str, same: str) -> None:
    tokenizer = learn_vocabulary(["a red circle", "a man's t-shirt", "café", "five 5", "🐶"])
    assert tokenizer([text]).input_ids.tolist() == tokenizer([same]).input_ids.tolist()
    assert tokenizer.unknown_words(text) == []
    assert tokenizer.vocabulary.size == 4 + len(
        ["a", "red", "circle", "man", "s", "t", "shirt", "café", "five", "5", "🐶"]
    )


def test_rare_words_become_unknown() -> None:
    tokenizer = learn_vocabulary(["a dog", "a cat"], min_word_count=2)
    assert tokenizer.unknown_words("a dog") == ["dog"]


def test_long_captions_are_cut_and_keep_their_end() -> None:
    tokenizer = learn_vocabulary(["one two three four five six"], max_text_length=4)
    ids, _ = tokenizer(["one two three four five six"])
    assert tokens(tokenizer.to_json(), ids[0].tolist()) == ["[BOS]", "one", "two", "[EOS]"]


@pytest.mark.parametrize("options", [{"vocab_size": 4}, {"max_text_length": 2}])
def test_bad_values(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        learn_vocabulary(["a dog"], **options)


class TestReadTokenizer:
    def test_the_length_is_capped(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = tmp_path / "tokenizer.json"
        path.write_text(learn_vocabulary(["a dog runs far away"], max_text_length=10).to_json())
        with caplog.at_level(logging.INFO):
            assert read_tokenizer(path, 5).vocabulary.max_length == 5
        assert str(path) in caplog.text
        assert "data.vocab_size" in caplog.text
        assert read_tokenizer(path, 64).vocabulary.max_length == 10
        assert read_tokenizer(path, 64).vocabulary.kind == "pretrained"

    def test_mistakes_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"data\.tokenizer=.*nowhere\.json: there is no readable file"):
            read_tokenizer(tmp_path / "nowhere.json", 64)
        (tmp_path / "a.json").write_text("{}")
        with pytest.raises(ConfigError, match=r"data\.tokenizer=.*a\.json: This is not a tokenizer\.json"):
            read_tokenizer(tmp_path / "a.json", 64)
        plain = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
        plain.pre_tokenizer = pre_tokenizers.Whitespace()
        plain.save(str(tmp_path / "b.json"))
        with pytest.raises(ConfigError, match=r"data\.tokenizer=.*b\.json: The tokenizer has no padding token"):
            read_tokenizer(tmp_path / "b.json", 64)
        with pytest.raises(ConfigError, match="max_text_length"):
            read_tokenizer(tmp_path / "a.json", 2)
