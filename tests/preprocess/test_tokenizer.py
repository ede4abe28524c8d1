"""Converting any text to model input, with a learnt vocabulary and with each kind of pretrained tokenizer."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from imtext.data.vocabulary import learn_vocabulary
from imtext.errors import ConfigError
from imtext.preprocess.tokenizer import JsonTokenizer, load_tokenizer
from tests.damage import damaged, fuzzed

TEXTS = ["a dog runs fast", "", "A cat, sleeping."]


@pytest.fixture(scope="module")
def words() -> JsonTokenizer:
    return learn_vocabulary(["a dog runs", "a cat, sleeping on a mat"], max_text_length=6)


def word_pieces() -> Tokenizer:
    """Like BERT's."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "dog", "un", "##believ", "##able", ",", "runs"]
    backend = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    backend.enable_padding(length=20)  # some files pad every text to a fixed length
    return backend


def byte_pairs() -> Tokenizer:
    """Like GPT-2's: bytes, so that no word is unknown; one token ends texts and pads them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = ["<|endoftext|>", *alphabet, "do", "dog"]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    backend = Tokenizer(models.BPE(vocabulary, [("d", "o"), ("do", "g")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
    )
    return backend


def unigram() -> Tokenizer:
    """Like T5's."""
    entries = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0), ("▁dog", -2.0), ("s", -3.0), ("▁", -4.0)]
    backend = Tokenizer(models.Unigram(entries, unk_id=2))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    backend.add_special_tokens(["<pad>", "</s>"])
    return backend


KINDS = {"word pieces": word_pieces, "byte pairs": byte_pairs, "unigram": unigram}


@pytest.fixture(params=KINDS)
def pretrained(request: pytest.FixtureRequest) -> JsonTokenizer:
    return load_tokenizer(KINDS[request.param]().to_str(), max_length=8)


class TestWords:
    def test_ids_mask_and_types(self, words: JsonTokenizer) -> None:
        ids, mask = words(["a dog", "", "a zebra runs"])
        assert (str(ids.dtype), str(mask.dtype), ids.shape, mask.shape) == ("int64", "bool", (3, 5), (3, 5))
        assert mask.sum(axis=1).tolist() == [4, 2, 5]
        assert (ids[~mask] == words.vocabulary.pad_id).all()
        assert (words.vocabulary.pad_id, words.vocabulary.unk_id) == (0, 1)
        assert (ids == words.vocabulary.unk_id).sum() == 1

    def test_same_ids_as_the_library_without_padding(self, words: JsonTokenizer) -> None:
        """Models of older checkpoints and bundles were trained on these ids, padded with 0."""
        backend = Tokenizer.from_str(words.to_json())
        backend.no_padding()
        expected = [encoding.ids for encoding in backend.encode_batch(TEXTS)]
        ids, mask = words(TEXTS)
        assert [row[kept].tolist() for row, kept in zip(ids, mask, strict=True)] == expected
        assert ids.shape[1] == max(map(len, expected))
        old = load_tokenizer(backend.to_str(), "words")  # of a file without padding
        assert all((ours == theirs).all() for ours, theirs in zip(old(TEXTS), words(TEXTS), strict=True))
        assert old.vocabulary == words.vocabulary

    def test_empty_list(self, words: JsonTokenizer) -> None:
        assert [array.shape for array in words([])] == [(0, 0), (0, 0)]

    def test_unknown_words(self, words: JsonTokenizer) -> None:
        assert words.unknown_words("A Zebra and a dog") == ["Zebra", "and"]
        assert words.unknown_words("a dog") == []
        assert words.knows("a zebra")
        assert not words.knows("zebra, okapi")
        assert not words.knows("")

    def test_cut_words(self, words: JsonTokenizer) -> None:
        assert words.cut_words("a dog runs fast") == []
        assert words.cut_words("a dog runs fast on  the mat, sleeping.") == ["on", "the", "mat,", "sleeping."]
        assert words.cut_words("a dog, runs - fast.") == []
        assert words.cut_words("a dog, cat- on mat") == ["mat"]
        assert words.cut_words("a dog runs on-mat") == ["on-mat"]  # a word that is cut inside

    def test_surrogates(self, words: JsonTokenizer) -> None:
        assert words(["a \udcff dog"]).input_ids.tolist() == words(["a ? dog"]).input_ids.tolist()
        assert words.unknown_words("a \udcff") == []  # it is read as a question mark
        assert words.cut_words("a dog a dog \udcff dog") == ["dog"]
        assert not words.knows("\udcff")

    def test_punctuation_is_never_an_unknown_word(self) -> None:
        """Tokenizers of older checkpoints and bundles take punctuation marks for words."""
        backend = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "dog": 2}, unk_token="[UNK]"))
        backend.pre_tokenizer = pre_tokenizers.Whitespace()
        old = load_tokenizer(backend.to_str(), "words", max_length=8)
        assert old(["dog!"]).input_ids.tolist() == [[2, 1]]
        assert old.unknown_words("dog! (zebra) …") == ["zebra"]

    def test_round_trip(self, words: JsonTokenizer) -> None:
        again = load_tokenizer(words.to_json().encode(), "words")
        assert again.vocabulary == words.vocabulary
        assert again.to_json() == words.to_json() == pickle.loads(pickle.dumps(words)).to_json()
        assert (again(TEXTS).input_ids == words(TEXTS).input_ids).all()
        assert again.vocabulary.to_dict() == {
            "kind": "words", "size": 11, "pad_id": 0, "unk_id": 1, "max_length": 6, "fixed_length": False,
        }  # fmt: skip


class TestPretrained:
    def test_real_tokens_come_first(self, pretrained: JsonTokenizer) -> None:
        ids, mask = pretrained(["a dog", "a dog a dog a dog a dog", ""])
        assert ids.shape == mask.shape == (3, 8)
        assert mask.any(axis=1).all()
        assert (np.sort(~mask, axis=1) == ~mask).all()
        assert (ids[~mask] == pretrained.vocabulary.pad_id).all()
        assert ids.max() < pretrained.vocabulary.size

    def test_round_trip(self, pretrained: JsonTokenizer) -> None:
        again = load_tokenizer(pretrained.to_json())
        assert (again.vocabulary, again.to_json()) == (pretrained.vocabulary, pretrained.to_json())
        assert (again(TEXTS).input_ids == pretrained(TEXTS).input_ids).all()

    def test_known_text_is_neither_unknown_nor_cut(self, pretrained: JsonTokenizer) -> None:
        assert pretrained.unknown_words("a dog") == pretrained.cut_words("a dog") == []
        assert pretrained.knows("a dog")
        assert pretrained.cut_words("a dog a dog a dog a dog a dog a dog a dog")[-1] == "dog"

    def test_word_pieces(self) -> None:
        tokenizer = load_tokenizer(word_pieces().to_str(), max_length=5)
        assert tokenizer.vocabulary.to_dict() == {
            "kind": "pretrained", "size": 11, "pad_id": 0, "unk_id": 1, "max_length": 5, "fixed_length": False,
        }  # fmt: skip
        assert tokenizer(["a dog"]).input_ids.tolist() == [[2, 4, 5, 3]]  # not padded to 20
        assert tokenizer.unknown_words("a Zebra dog") == ["Zebra"]
        assert tokenizer.cut_words("a dog unbelievable, runs") == ["unbelievable,", "runs"]  # a word that is cut inside

    def test_fixed_length(self) -> None:
        tokenizer = load_tokenizer(word_pieces().to_str(), max_length=5, fixed_length=True)
        assert tokenizer.vocabulary.fixed_length
        ids, mask = tokenizer(["a dog", ""])
        assert ids.shape == mask.shape == (2, 5)
        again = load_tokenizer(tokenizer.to_json(), fixed_length=True)
        assert (again(TEXTS).input_ids == tokenizer(TEXTS).input_ids).all()
        assert load_tokenizer(tokenizer.to_json())(["a"]).input_ids.shape[1] < 5

    def test_byte_pairs_know_every_word(self) -> None:
        tokenizer = load_tokenizer(byte_pairs().to_str(), max_length=8)
        assert (tokenizer.vocabulary.pad_id, tokenizer.vocabulary.unk_id) == (0, None)
        assert tokenizer.unknown_words("zebra ☃") == []
        assert tokenizer.knows("zebra")
        assert tokenizer.cut_words("dog dog dog dog dog") == ["dog"]
        ids, mask = tokenizer(["dog", ""])
        assert ids.tolist() == [[ids[0, 0], 0], [0, 0]]
        assert mask.tolist() == [[True, True], [True, False]]  # the token that ends a text counts, padding does not

    def test_unigram(self) -> None:
        tokenizer = load_tokenizer(unigram().to_str(), max_length=8)
        assert (tokenizer.vocabulary.pad_id, tokenizer.vocabulary.unk_id) == (0, 2)
        assert tokenizer.unknown_words("a dog xyz")
        assert not tokenizer.knows("xyz")

    def test_own_maximum_length(self) -> None:
        backend = byte_pairs()
        backend.enable_truncation(6, direction="left")
        tokenizer = load_tokenizer(backend.to_str(), max_length=8)
        assert tokenizer.vocabulary.max_length == 6
        assert tokenizer.cut_words("dog dog dog cat") == ["cat"]  # the end is cut, whatever the file says

    def test_no_special_tokens(self) -> None:
        backend = word_pieces()
        backend.post_processor = processors.Sequence([])
        tokenizer = load_tokenizer(backend.to_str(), max_length=8)
        for texts in ([""], ["", "a dog"]):
            ids, mask = tokenizer(texts)
            assert (ids[0, 0], mask[0].tolist()) == (0, [True] + [False] * (ids.shape[1] - 1))

    def test_gaps_between_ids(self) -> None:
        backend = Tokenizer(models.WordLevel({"[PAD]": 0, "dog": 50}, unk_token="[PAD]"))
        assert load_tokenizer(backend.to_str(), max_length=8).vocabulary.size == 51


class TestMistakes:
    @pytest.mark.parametrize("content", ["", "{}", "not json", b"\xff"])
    def test_not_a_tokenizer(self, content: str | bytes) -> None:
        with pytest.raises(ConfigError, match=r"not a tokenizer\.json"):
            load_tokenizer(content, max_length=8)

    def test_no_padding_token(self) -> None:
        backend = Tokenizer(models.WordLevel({"dog": 0, "?": 1}, unk_token="?"))
        with pytest.raises(ConfigError, match=r"no padding token.*\[PAD\]"):
            load_tokenizer(backend.to_str(), max_length=8)

    def test_padding_token_outside_the_vocabulary(self) -> None:
        content = json.loads(word_pieces().to_str())
        content["padding"]["pad_token"] = "[NONE]"
        with pytest.raises(ConfigError, match=r"padding token '\[NONE\]' is not in its vocabulary"):
            load_tokenizer(json.dumps(content), max_length=8)

    def test_no_maximum_length(self) -> None:
        with pytest.raises(ConfigError, match=r"data\.max_text_length"):
            load_tokenizer(word_pieces().to_str())


def test_does_not_need_torch() -> None:
    program = "import sys, imtext.preprocess.tokenizer, imtext.preprocess; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@fuzzed(300)
@given(st.data())
def test_a_damaged_file_is_refused_or_used(words: JsonTokenizer, data: st.DataObject) -> None:
    content = data.draw(damaged(words.to_json().encode()))
    try:
        read = load_tokenizer(content, "words")
    except ConfigError:
        return
    ids, mask = read(TEXTS)
    assert ids.shape == mask.shape
    assert mask[:, 0].all()
