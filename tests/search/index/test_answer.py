"""Results of an index: files that pass come first, dates and places, order by date."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from imtext.search import Filters, Index, parse_query
from imtext.search.index import SearchOptions
from imtext.search.index.answer import found_picture
from imtext.search.query import embed_queries
from imtext.search.store import File
from imtext.search.store.columns import local_time
from tests.search.photos import photo, xmp


@pytest.fixture
def photos(index: Index, tmp_path: Path) -> Path:
    """Three photos of three years, the first one twice, and a picture without a date."""
    folder = tmp_path / "photos"
    for name in ("Backup", "Holidays"):
        (folder / name).mkdir(parents=True)
    photo(folder / "Holidays" / "a.jpg", (40, 30), "2022:05:12 14:03:11", "+01:00", ("", "Leica"), (38.7, -9.1), seed=1)
    photo(folder / "Holidays" / "b.jpg", (30, 40), "2024:05:12 14:03:11", seed=2)
    photo(folder / "c.jpg", (50, 50), "2023:05:12 14:03:11", seed=3)
    photo(folder / "d.png", (60, 50), seed=4)
    os.utime(folder / "d.png", (1, 1))
    shutil.copy(folder / "Holidays" / "a.jpg", folder / "Backup")
    index.update([str(folder)])
    return folder


def names(results: list) -> list[str]:  # type: ignore[type-arg]
    return [Path(result.path).name for result in results]


def test_words_and_filters(index: Index, photos: Path) -> None:
    terms = parse_query("red")
    all_of_them = index.search(terms)
    for filters in (Filters(after="2023-01-01T00:00:00"), Filters(orientation="landscape"), Filters(camera="none")):
        kept = {result.id for result in index.newest(10, filters)}
        assert index.search(terms, filters=filters) == [result for result in all_of_them if result.id in kept]
        assert index.search(terms, 1, filters=filters) == [one for one in all_of_them if one.id in kept][:1]


def test_sorted_by_date(index: Index, photos: Path) -> None:
    terms = parse_query("red")
    best = index.search(terms, top_k=3)
    assert index.search(terms, top_k=3, sort="date") == sorted(best, key=lambda one: one.date, reverse=True)
    assert names(index.newest(10)) == ["b.jpg", "c.jpg", "a.jpg", "d.png"]
    assert names(index.newest(2)) == ["b.jpg", "c.jpg"]


def test_each_query_has_its_own_filters(index: Index, photos: Path) -> None:
    queries = embed_queries([parse_query(text) for text in ("red", "blue", "red")], index.encoder)
    options = [SearchOptions(filters=Filters(camera="leica")), SearchOptions(), SearchOptions(2, sort="date")]
    together = index.search_each(queries, options)
    alone = [index.search_each([query], [one])[0] for query, one in zip(queries, options, strict=True)]
    assert [[one.id for one in results] for results in together] == [[one.id for one in results] for results in alone]
    for ours, theirs in zip(together, alone, strict=True):  # scores depend on the size of the product in the last digit
        assert [one.score for one in ours] == pytest.approx([one.score for one in theirs], abs=1e-6)
    assert [len(results) for results in together] == [1, 4, 2]


def test_the_copy_in_the_folder_comes_first(index: Index, photos: Path) -> None:
    copies = [str(photos / folder / "a.jpg") for folder in ("Backup", "Holidays")]
    (plain,) = index.newest(10, Filters(camera="leica"))
    (inside,) = index.newest(10, Filters(camera="leica", folder="holidays"))
    assert [plain.path, *plain.copies] == copies
    assert [inside.path, *inside.copies] == copies[::-1]
    assert names(index.search(parse_query("red"), filters=Filters(folder="Holidays", camera="leica"))) == ["a.jpg"]


def test_dates_and_places(index: Index, photos: Path) -> None:
    found = {Path(result.path).name: result for result in index.newest(10)}
    assert (found["a.jpg"].date, found["a.jpg"].date_from) == ("2022-05-12T14:03:11+01:00", "camera")
    assert found["a.jpg"].place == (38.7, -9.1)
    assert (found["d.png"].date, found["d.png"].date_from, found["d.png"].place) == (local_time(10**9), "file", None)
    old, new = File("/b", 1, 10**18, b"x"), File("/a", 1, 2 * 10**18, b"x")
    assert found_picture([new, old], None).date == local_time(10**18), "copying makes files younger"


@pytest.fixture
def described(index: Index, tmp_path: Path) -> Path:
    """Photos of noise that nobody could tell apart by a text, one of them with a title, one with a telling name."""
    folder = tmp_path / "photos"
    (folder / "The Alps").mkdir(parents=True)
    for number in range(8):
        photo(folder / f"IMG_{number}.jpg", seed=number)
    photo(folder / "The Alps" / "IMG_8.jpg", xmp=xmp("Sunset over Porto", keywords=["river"]), seed=8)
    photo(folder / "red circle.jpg", seed=9)
    index.update([str(folder)])
    return folder


def test_words_find_what_they_name(index: Index, described: Path) -> None:
    for query, name, found_by in (
        ("sunset in Porto", "IMG_8.jpg", ["title"]),
        ("porto river", "IMG_8.jpg", ["title", "keywords"]),
        ("img_3", "IMG_3.jpg", ["file name"]),
        ("alps", "IMG_8.jpg", ["folder"]),
    ):
        (first, *others) = index.search(parse_query(query), min_relevance=1)
        assert (Path(first.path).name, first.found_by, first.relevance, others) == (name, found_by, None, [])
        assert -1 <= first.score <= 1
        assert index.search(parse_query(query), min_relevance=1, words=False) == []
    first = index.search(parse_query("red circle"))[0]
    assert (Path(first.path).name, first.found_by) == ("red circle.jpg", ["picture", "file name"])


def test_words_change_no_score_and_no_relevance(index: Index, described: Path) -> None:
    both, alone = (index.search(parse_query("red circle"), words=words) for words in (True, False))
    assert sorted((one.id, one.score, one.relevance) for one in both) == sorted(
        (one.id, one.score, one.relevance) for one in alone
    )
    assert {tuple(one.found_by) for one in alone} == {("picture",)}


@pytest.mark.parametrize("query", ["the", "porto - red", "IMG_3.jpg + porto", "a picture of it"])
def test_words_that_name_nothing(index: Index, described: Path, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Function words, and queries with parts that are pictures or taken away."""
    monkeypatch.chdir(described)
    terms = parse_query(query)
    assert index.search(terms) == index.search(terms, words=False)


def test_filters_hold_for_words(index: Index, described: Path) -> None:
    filters = Filters(folder="The Alps")
    assert index.search(parse_query("img_3"), min_relevance=1, filters=filters) == []
    assert names(index.search(parse_query("img_8"), min_relevance=1, filters=filters)) == ["IMG_8.jpg"]
    assert names(index.search(parse_query("alps"), 1, 1, sort="date")) == ["IMG_8.jpg"]
