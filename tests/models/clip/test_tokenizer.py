"""Tokenizers of pretrained dual encoders: ids are those of the libraries."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import pytest
from open_clip.tokenizer import SimpleTokenizer
from transformers import CLIPTokenizer

from imtext.errors import ConfigError
from imtext.models.clip.tokenizer import END, START, clip_tokenizer, read_tokenizer
from imtext.preprocess.tokenizer import JsonTokenizer, load_tokenizer
from tests.models.clip.folders import small_bpe, write, write_clip, write_siglip

TEXTS = [
    "a photo of a cat", "Two DOGS play; it's THEIR ball!", "", "  spaces \t and\nlines  ", "café, naïve, Ångström",
    "ÉCOLE", "cafe\u0301", "我喜欢狗", "Привет, мир", "emoji 😀👨‍👩‍👧 🇨🇭 ❤️", "3,141.59 € 50% #1 @home",
    "it’s “quoted” ‘text’",
    "don't we'll I'm you've he'd they're John's", "A&amp;B &lt;3 &quot;x&quot;", "ﬁne ﬂower oﬃce", "naïve résumé—dash…",
    "½ cup", "non\u00a0breaking", "x" * 300, "one two " * 60, "_under_score_ a/b\\c", "ÇA VA? STRASSE ß İ",
    "ไทย हिन्दी العربية", "zero\u200bwidth", "\ufeffmark",
]  # fmt: skip


@pytest.fixture(scope="module")
def own() -> JsonTokenizer:
    return clip_tokenizer(77)


@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_those_of_open_clip(own: JsonTokenizer, text: str) -> None:
    ids, mask = own([text])
    expected = SimpleTokenizer()(text)[0]
    length = int(mask.sum())
    assert ids[0, :length].tolist() == expected[:length].tolist()
    assert not expected[length:].any()


def test_the_vocabulary_is_that_of_clip(own: JsonTokenizer) -> None:
    facts = own.vocabulary
    assert (facts.size, facts.max_length, facts.fixed_length, facts.kind) == (49408, 77, False, "pretrained")
    ids, _ = own(["dog"])
    assert ids[0].tolist() == [49406, 1929, 49407]
    again = load_tokenizer(own.to_json())  # as a bundle stores it
    assert again.vocabulary == facts
    assert (again(TEXTS).input_ids == own(TEXTS).input_ids).all()


def test_a_folder_of_transformers(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "clip")
    found = read_tokenizer(folder, 16, fixed_length=False)
    theirs = CLIPTokenizer.from_pretrained(folder)
    texts = ["the Cat", "theatre", "ten words are too many for sixteen tokens of letters"]
    expected = theirs(texts, padding=True, truncation=True, max_length=16)["input_ids"]
    assert found(texts).input_ids.tolist() == expected


def test_padding_is_read_from_the_settings(tmp_path: Path) -> None:
    folder = write_siglip(tmp_path / "siglip")
    found = read_tokenizer(folder, 12, fixed_length=True)
    ids, mask = found(["The red circle"])
    assert ids[0].tolist() == [3, 4, 6] + [1] * 9
    assert mask.sum() == 4  # the end is a real token
    (folder / "tokenizer_config.json").unlink()
    again = read_tokenizer(folder, 12, fixed_length=True)  # a known name of a padding token
    assert (again(["The red circle"]).input_ids == ids).all()


def test_siglip_takes_cleaned_texts_even_if_its_file_does_not_say_so(tmp_path: Path) -> None:
    folder = write_siglip(tmp_path / "siglip")
    content = json.loads((folder / "tokenizer.json").read_text()) | {"normalizer": None}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    assert read_tokenizer(folder, 12, fixed_length=False)(["Red"]).input_ids[0, 0] == 0  # unknown: not SigLIP
    assert read_tokenizer(folder, 12, fixed_length=True)(["Red."]).input_ids[0, :2].tolist() == [4, 1]
    write(folder / "tokenizer_config.json", {"pad_token": "</s>", "tokenizer_class": "GemmaTokenizer"})
    two = read_tokenizer(folder, 12, fixed_length=True)(["Red."]).input_ids[0, :2].tolist()
    assert two[0] != 1, "SigLIP 2 keeps punctuation"


def test_cleaning_of_open_clip(tmp_path: Path) -> None:
    folder = write_siglip(tmp_path / "siglip")
    content = json.loads((folder / "tokenizer.json").read_text()) | {"normalizer": None}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    text = "  The RED_circle!  (a) "
    expected = open_clip.tokenizer.get_clean_fn("canonicalize")(text)
    plain = read_tokenizer(folder, 12, fixed_length=True)([expected])
    cleaned = read_tokenizer(folder, 12, fixed_length=True, clean="canonicalize")([text])
    assert (plain.input_ids == cleaned.input_ids).all()
    assert plain.input_ids[0, :5].tolist() == [3, 4, 6, 2, 1]


def test_older_files_are_converted(tmp_path: Path) -> None:
    backend = small_bpe()
    model = json.loads(backend.to_str())["model"]
    write(tmp_path / "vocab.json", model["vocab"])
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    write(tmp_path / "tokenizer_config.json", {**special, "tokenizer_class": "CLIPTokenizer"})
    found = read_tokenizer(tmp_path, 16, fixed_length=False)
    assert found(["the Cat"]).input_ids.tolist() == [backend.encode("the Cat").ids]


def test_a_missing_or_broken_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no tokenizer\.json"):
        read_tokenizer(tmp_path, 16, fixed_length=False)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"tokenizer\.json is not a tokenizer\.json"):
        read_tokenizer(tmp_path, 16, fixed_length=False)
