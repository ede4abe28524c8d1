"""Words in names of files and folders."""

from __future__ import annotations

import os

import pytest

from imtext.search.words import folder_words, name_words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("IMG_1234.JPG", "IMG_1234"),
        ("SunsetBeach.jpg", "SunsetBeach Sunset Beach"),
        ("beach2019-final.heic", "beach2019-final beach 2019"),
        ("no ending", "no ending"),
        ("a.b.png", "a.b"),
    ],
)
def test_names_are_split(name: str, words: str) -> None:
    assert name_words([f"/home/me/{name}"]) == words


def test_copies_have_all_names_once() -> None:
    assert name_words(["/a/dog.jpg", "/b/dog.png", "/b/cat.jpg"]) == "dog cat"
    assert name_words([os.fsdecode(b"/caf\xe9.jpg")]) == "caf?"


def test_folders_below_the_indexed_one() -> None:
    sources = ["/home/me/Pictures", "/home/me/Pictures/2024", "/drive"]
    paths = ["/home/me/Pictures/2024/SummerTrip/a.jpg", "/home/me/Pictures/2024/SummerTrip/b.jpg"]
    assert folder_words(paths, sources) == "2024 SummerTrip Summer Trip"
    assert folder_words(["/home/me/Pictures/a.jpg"], sources) == ""
    assert folder_words(["/elsewhere/single/a.jpg"], sources) == "single"
    assert folder_words(["/etc/a.jpg"], ["/"]) == "etc"
