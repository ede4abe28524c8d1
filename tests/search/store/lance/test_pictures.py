from __future__ import annotations

import numpy as np

from imtext.search.facts import Facts
from imtext.search.store import File, Picture
from imtext.search.store.lance.pictures import (
    derive,
    describe,
    facts_of,
    file_of,
    file_row,
    folder_number,
    picture_row,
    pictures_table,
    plain,
    read_pictures,
)
from tests.search.store.conftest import DIM, vector


def test_a_picture_is_read_as_it_was_written() -> None:
    facts = Facts(4000, 3000, "2024-05-12T14:03:11+01:00", "Apple iPhone 12", 38.7, -9.1, b"h" * 16, "Café", "", "a, b")
    row = picture_row(7, Picture(b"\0'content", vector(0), np.ones((3, 2), np.float16)))
    describe(row, facts)
    derive(row, [("/p/Lisbon/SunsetBeach.jpg", 1), ("/p/b.jpg", 2)], ["/p"])
    (again,) = read_pictures(pictures_table([row], DIM), DIM)
    np.testing.assert_array_equal(again["vector"], vector(0))
    assert {name: again[name] for name in row if name != "vector"} == {n: row[n] for n in row if n != "vector"}
    assert facts_of(again) == facts
    assert again["folders"] == sorted([folder_number("/p/Lisbon"), folder_number("/p")])
    assert {"sunset", "beach", "lisbon", "cafe"} <= set(again["words"].split())


def test_without_facts_there_are_no_words_and_no_place() -> None:
    row = picture_row(7, Picture(b"a", vector(0)))
    derive(row, [("/p/a.jpg", 5 * 10**9), ("/p/b.jpg", 3 * 10**9)], [])
    assert (row["words"], row["x"], row["text"]) == ("", None, None)


def test_files() -> None:
    file = File("/p/\udcff.jpg", 3, -1, b"a", "", 5, 2**63 - 1)
    assert file_of(file_row(file, 7)) == file
    refused = File("/p/a", 1, 1).refuse("not a picture")
    assert file_of(file_row(refused, None)) == refused


def test_words_as_they_are_compared() -> None:
    assert plain("IMG_1234, São-Paulo's ŒUVRE\n") == "img 1234 sao paulo s œuvre"
    assert plain('"*') == ""
