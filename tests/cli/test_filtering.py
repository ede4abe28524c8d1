"""`imtext search` with filters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imtext.search import Bundle
from tests.cli.conftest import imtext
from tests.search.photos import photo


@pytest.fixture(scope="module")
def photos(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos, and their index in `index`."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "Holidays").mkdir()
    photo(
        folder / "Holidays" / "a.jpg", (60, 40), "2024:05:12 14:03:11", "", ("Apple", "iPhone"), (38.72, -9.14), seed=1
    )
    photo(folder / "Holidays" / "b.jpg", (40, 60), "2023:05:12 14:03:11", seed=2)
    photo(folder / "c.jpg", (50, 50), seed=3)
    done = imtext("index", folder, "--index", folder / "index", "--bundle", bundle.path)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--after 2024 --before 2024-06", "a"),
        ("--before 2024", "b"),
        ("--in holidays", "ab"),
        ("--camera iphone", "a"),
        ("--portrait", "b"),
        ("--landscape", "a"),
        ("--min-size 50x50", "c"),
        ("--near 38.7,-9.1 --within 10km", "a"),
        ("--sort date", "cab"),
    ],
)
def test_without_words(photos: Path, options: str, expected: str) -> None:
    done = imtext("search", *options.split(), "-p", "--index", photos / "index")
    assert [Path(line).stem for line in done.stdout.splitlines()] == list(expected), done.stderr


def test_with_words(photos: Path) -> None:
    done = imtext(
        "search", "red", "--in", "Holidays", "--sort", "date", "--index", photos / "index", "--min-relevance", "0"
    )
    first, second = done.stdout.splitlines()
    assert first.endswith("a.jpg  2024-05-12  38.7200,-9.1400")
    assert second.endswith("b.jpg  2023-05-12")
    assert " % " in first
    done = imtext("search", "red", "--index", photos / "index", "--min-relevance", "0")
    assert [line for line in done.stdout.splitlines() if line.endswith("c.jpg")], "dates of files are not shown"


def test_json(photos: Path) -> None:
    (row,) = json.loads(imtext("search", "--camera", "iphone", "--json", "--index", photos / "index").stdout)
    path, date = str(photos / "Holidays" / "a.jpg"), "2024-05-12T14:03:11"
    assert row == {"path": path, "copies": [], "date": date, "date_from": "camera", "place": [38.72, -9.14]}


def test_nothing_passes(photos: Path) -> None:
    for words in ([], ["red"]):
        done = imtext("search", *words, "--camera", "leica", "--index", photos / "index")
        assert (done.returncode, done.stdout) == (1, "No picture of the index passes these filters.\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--after 2024-13", "--after: '2024-13' has no month 13. Give a year"),
        ("--min-size big", "--min-size: 'big' is no size. Give width"),
        ("--portrait --landscape", "--portrait and --landscape: no picture is both. Give one of them"),
    ],
)
def test_mistakes(photos: Path, options: str, message: str) -> None:
    done = imtext("search", "red", *options.split(), "--index", photos / "index")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}")
    assert len(done.stderr.splitlines()) == 1
