"""The files that a table names: exactly, in another Unicode form, or without their ending."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from imtext.data.reading.pictures import find_pictures
from imtext.errors import DataError

ONE, TWO = "caf\u00e9", "cafe\u0301"  # é as one character, and as two


def files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def find(root: Path, *names: str) -> dict[str, Path]:
    return find_pictures(names, root, "own.csv", "data.image_root=…")


@pytest.mark.parametrize(("named", "on_disk"), [(ONE, TWO), (TWO, ONE)])
def test_unicode_forms_of_files_and_folders(tmp_path: Path, named: str, on_disk: str) -> None:
    assert unicodedata.normalize("NFC", named) == unicodedata.normalize("NFC", on_disk)
    files(tmp_path, f"{on_disk}/a {on_disk}.jpg", "b.jpg")
    name, absolute = f"{named}/a {named}.jpg", str(tmp_path / named / f"a {named}.jpg")
    expected = tmp_path / on_disk / f"a {on_disk}.jpg"
    assert find(tmp_path, name, "b.jpg", absolute) == {name: expected, "b.jpg": tmp_path / "b.jpg", absolute: expected}
    assert find(files(tmp_path, "more/c.jpg") / "more", f"../{name}")[f"../{name}"].samefile(expected)


def test_an_exact_name_comes_first(tmp_path: Path) -> None:
    files(tmp_path, f"{ONE}.jpg", f"{TWO}.jpg", "dog", "dog.jpg")
    names = (f"{ONE}.jpg", f"{TWO}.jpg", "dog")
    assert find(tmp_path, *names) == {name: tmp_path / name for name in names}


def test_several_files_that_look_the_same(tmp_path: Path) -> None:
    files(tmp_path, "A\u030a.jpg", "\u00c5.jpg")
    with pytest.raises(DataError, match=r"1 of 1 .* could be several files: .* \(A\\u030a\.jpg, \\xc5\.jpg\)\. "):
        find(tmp_path, "\u212b.jpg")  # the sign for Ångström, whose normal form is that letter


def test_names_without_their_ending(tmp_path: Path) -> None:
    files(tmp_path, "dog1.jpg", "dog1.txt", "dog.v2.PNG", "old/dog1.png", f"{TWO}.webp", "dog1.jpg.png")
    (tmp_path / "dog.v2").mkdir()
    found = find(tmp_path, "dog1", "dog.v2", ONE, " dog1.jpg ")
    assert [path.name for path in found.values()] == ["dog1.jpg", "dog.v2.PNG", f"{TWO}.webp", "dog1.jpg"]
    files(tmp_path, "dog1.png", "cat.jpg", "cat.jpeg")
    with pytest.raises(DataError, match=r"2 of 3 .*: dog1 \(dog1\.jpg, dog1\.png\), cat \(cat\.jpeg, cat\.jpg\)\. "):
        find(tmp_path, "dog1", "dog.v2", "cat")


@pytest.mark.parametrize("name", ["dog1.jpg", "", "/", "..", "nowhere/dog", "a\0b", "dog " * 1_000])
def test_missing_pictures(tmp_path: Path, name: str) -> None:
    files(tmp_path, "dog1.png", "dog1.jpg.png", "dog.jpg")
    with pytest.raises(DataError, match=r"1 of 2 pictures .* do not exist below .* folder with data\.image_root=…"):
        find(tmp_path, "dog.jpg", name, "dog.jpg")
