"""Tokenizers of exported models, set up as their text graphs expect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imtext.errors import ConfigError
from imtext.preprocess import Preprocess
from imtext.search import Encoder
from imtext.search.graph import Graph
from imtext.search.pretrained import make_bundle, open_source
from imtext.search.pretrained.layout import Facts
from imtext.search.pretrained.texts import make_tokenizer
from tests.exported import Exported
from tests.search.test_graph import Fake

FACTS = Facts(Preprocess(), "<|endoftext|>", 16)


def graph(*inputs: str, length: int | None = None) -> Graph:
    return Graph(Fake([], []), dict.fromkeys(inputs, np.int64), "embedding", single=False, length=length)


@pytest.fixture
def content(immich: Exported) -> bytes:
    return (immich.folder / "textual" / "tokenizer.json").read_bytes()


@pytest.mark.parametrize(
    ("called", "causal", "expected"),
    [
        (graph("input_ids"), True, (16, False)),  # what follows the end of a text is not read
        (graph("input_ids"), False, (16, True)),
        (graph("input_ids", "attention_mask"), False, (16, False)),
        (graph("text", length=12), True, (12, True)),
        (graph("input_ids", "attention_mask", length=12), False, (12, True)),
    ],
)
def test_padding(content: bytes, called: Graph, causal: bool, expected: tuple[int, bool]) -> None:
    vocabulary = make_tokenizer(content, replace(FACTS, causal=causal), called).vocabulary
    assert (vocabulary.max_length, vocabulary.fixed_length) == expected


def test_refused(content: bytes) -> None:
    with pytest.raises(ConfigError, match=r"not a tokenizer\.json"):
        make_tokenizer(b"\xff", FACTS, graph("input_ids"))
    with pytest.raises(ConfigError, match=r"'\[PAD\]' is not in the vocabulary"):
        make_tokenizer(content, replace(FACTS, pad_token="[PAD]"), graph("input_ids"))
    with pytest.raises(ConfigError, match="takes at most 16 tokens, not 20"):
        make_tokenizer(content, FACTS, graph("input_ids", "attention_mask"), 20)
    with pytest.raises(ConfigError, match="takes 16 tokens, not 10"):
        make_tokenizer(content, FACTS, graph("input_ids"), 10)


def test_canonical_in_a_bundle(siglip: Exported, tmp_path: Path) -> None:
    encoder = Encoder(make_bundle(open_source(str(siglip.folder)), tmp_path / "bundle"))
    expected = siglip.texts(["big blue stars on the beach"])
    np.testing.assert_allclose(encoder.encode_texts(["Big_blue STARS, on the beach!"]), expected, atol=1e-5)
    assert encoder.tokenizer.cut_words("a dog, " * 20)
