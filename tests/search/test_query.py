"""Queries as users type them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imtext.errors import SearchError
from imtext.search import Encoder
from imtext.search.query import MAX_TERMS, MAX_WEIGHT, Term, embed_queries, parse_query, picture_query, query_notes
from tests.conftest import picture
from tests.damage import fuzzed


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a dog, running", [("a dog, running", 1)]),
        ("dog + beach - person", [("dog", 1), ("beach", 1), ("person", -1)]),
        ("2:dog + 0.5: beach", [("dog", 2), ("beach", 0.5)]),
        ("- person", [("person", -1)]),
        ("t-shirt C++", [("t-shirt C++", 1)]),
        ("at 10:30", [("at 10:30", 1)]),
        ("dog +", [("dog", 1)]),
        ("dog\t+\ncat", [("dog", 1), ("cat", 1)]),
    ],
)
def test_parse(query: str, expected: list[tuple[str, float]]) -> None:
    assert [(term.text, term.weight) for term in parse_query(query)] == expected


PIECES = ["+", "-", " ", "\t", "2:", ".5:", "0:", "dog", "t-shirt", "a.jpg", "~", "\0", "٣:", "9" * 400 + ":", "\ud800"]


@fuzzed(300)
@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.booleans())
@example("~\0.jpg", True)
def test_any_text_is_a_query_or_refused(text: str, pictures: bool) -> None:
    try:
        terms = parse_query(text, pictures)
    except SearchError:
        return
    assert 1 <= len(terms) <= MAX_TERMS
    assert all(0 < abs(term.weight) <= MAX_WEIGHT for term in terms)
    assert all((term.text or "").strip() for term in terms if pictures is False or term.picture is None)


def test_many_blanks_are_split_quickly() -> None:
    query, started = "a" + " " * 1990 + "b", time.perf_counter()
    for _ in range(200):
        assert parse_query(query)[0].text == query
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "empty"),
        ("  + - ", "empty"),
        ("0:dog", "weight must be above 0"),
        ("1000:dog", "at most 100"),
        ("x" * 3000, "3,000 characters; the limit is 2,000"),
        (" + ".join("abcdefghijklmnopqrstuvwxyz"), "26 parts; the limit is 16"),
        ("nowhere/to/be.jpg", "no picture nowhere/to/be.jpg"),
        ("x" * 300 + ".jpg", "no picture xxx"),
        ("~nobody-at-all/be.jpg", "no picture ~nobody"),
    ],
)
def test_refused(query: str, message: str) -> None:
    with pytest.raises(SearchError, match=message):
        parse_query(query)


def test_clients_cannot_open_files(tmp_path: Path) -> None:
    path = str(picture(tmp_path / "secret.png", 0))
    assert parse_query(path)[0].picture is not None
    assert parse_query(path, pictures=False) == [Term(path, None, 1)]


def test_signs_in_a_file_name(tmp_path: Path) -> None:
    path = picture(tmp_path / "photo - Copy + 2.png", 0)
    assert parse_query(f" {path} ") == [Term(None, path, 1)]
    assert len(parse_query(str(path), pictures=False)) == 3


def test_arithmetic(encoder: Encoder, tmp_path: Path) -> None:
    path = picture(tmp_path / "one.png", 0)
    words = encoder.encode_texts(["red", "blue"])
    combined = embed_queries([parse_query(f"red + {path} - 2:blue")], encoder)[0].vector
    image = embed_queries([parse_query(str(path))], encoder)[0].vector
    expected = words[0] + image - 2 * words[1]
    np.testing.assert_allclose(combined, expected / np.linalg.norm(expected), atol=1e-5)


def test_cancelled(encoder: Encoder) -> None:
    with pytest.raises(SearchError, match="cancel each other out"):
        embed_queries([parse_query("red - red")], encoder)


def test_nothing_but_unknown_words(encoder: Encoder, tmp_path: Path) -> None:
    path = picture(tmp_path / "one.png", 0)
    unknown = {"xyzzy": True, "Xyzzy, plugh! - zorkmid": True, "?!": True, "red xyzzy": False, "red - xyzzy": False}
    for query, expected in (unknown | {f"xyzzy + {path}": False, str(path): False}).items():
        assert embed_queries([parse_query(query)], encoder)[0].known != expected, query


def test_only_text_is_calibrated(encoder: Encoder, tmp_path: Path) -> None:
    path = picture(tmp_path / "one.png", 0)
    queries = embed_queries([parse_query(query) for query in ("red - blue", f"red + {path}", str(path))], encoder)
    assert [query.calibrated for query in queries] == [True, False, False]
    assert queries[1].terms == tuple(parse_query(f"red + {path}"))
    of_picture = picture_query(queries[2].vector)
    assert (of_picture.calibrated, of_picture.known, of_picture.terms) == (False, True, ())


def test_words_that_are_not_read(encoder: Encoder) -> None:
    limit = encoder.tokenizer.vocabulary.max_length
    long = "red " * (limit - 2) + "blue xyzzy"
    (query,) = embed_queries([parse_query(f"zorkmid plugh + zorkmid - {long}")], encoder)
    assert query.unknown_words == ("zorkmid", "plugh")
    assert query.cut_words == ("blue", "xyzzy")
    assert query_notes(query.terms, encoder.tokenizer) == [
        "Words not in the model's vocabulary: zorkmid, plugh",
        f"The query is too long for the model ({limit} tokens); not read: blue xyzzy",
    ]
    assert query_notes(parse_query("a red circle"), encoder.tokenizer) == []


def test_broken_picture(encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no picture")
    with pytest.raises(SearchError, match=r"bad\.jpg cannot be read"):
        embed_queries([parse_query(str(tmp_path / "bad.jpg"))], encoder)
