"""Finding pictures in folders, patterns, lists and single files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imtext.errors import SearchError
from imtext.search import Index
from imtext.search.index.discovery import Found, find
from imtext.search.index.kinds import kinds_of
from imtext.search.index.rules import Rules
from tests.conftest import picture
from tests.search.index.conftest import names


def found_names(found: Found) -> list[str]:
    return [Path(path).name for path in found.files]


def test_folders(gallery: Path) -> None:
    picture(gallery / ".hidden.png", 1)
    (gallery / ".hidden").mkdir()
    picture(gallery / ".hidden" / "x.png", 1)
    (gallery / "notes.txt").touch()
    (gallery / "circle").symlink_to(gallery)
    found = find([str(gallery)])
    assert found_names(found) == [f"{number:02}.png" for number in range(12)]
    assert (found.folders, found.refused, found.without_pictures) == ([str(gallery)], {}, [])
    file = found.files[str(gallery / "00.png")]
    state = (gallery / "00.png").stat()
    assert (file.size, file.mtime_ns, file.content) == (state.st_size, state.st_mtime_ns, b"")


def test_remembered_sources_that_are_missing(gallery: Path, tmp_path: Path) -> None:
    missing = [str(tmp_path / "gone"), str(tmp_path / "gone*.png")]
    found = find([*missing, str(gallery)], remembered=True)
    assert (found.missing, list(found.refused), len(found.files)) == (missing, missing, 12)
    found.missing.append(missing[0])  # named twice
    found.believe_missing()
    assert (found.refused, found.trust_missing, found.folders) == ({}, True, [str(gallery), *missing, missing[0]])


def test_files_as_in_a_list(gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(gallery)
    found = find([], files=["00.png", str(gallery / "more"), "no.png"])
    assert found_names(found) == ["00.png", "09.png", "10.png", "11.png"]
    assert (found.folders, found.refused) == ([], {str(gallery / "no.png"): "No such file or directory"})


def test_unchanged_files_are_not_opened(gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def watched(paths: list[str]) -> list[str]:
        opened.extend(paths)
        return kinds_of(paths)

    monkeypatch.setattr("imtext.search.index.discovery.kinds_of", watched)
    (gallery / "no ending").write_bytes((gallery / "00.png").read_bytes())
    (gallery / "notes.txt").write_text("no picture")
    known = find([str(gallery)]).files
    assert (len(opened), len(known)) == (14, 13)
    opened.clear()
    os.utime(gallery / "03.png", (1, 1))
    assert list(find([str(gallery)], known=known).files) == list(known)
    assert opened == [str(gallery / "03.png"), str(gallery / "notes.txt")]


def test_a_picture_without_ending_is_not_forgotten_when_it_cannot_be_read(index: Index, gallery: Path) -> None:
    odd = gallery / "no ending"
    picture(gallery / "x.png", 90).rename(odd)
    assert index.update([str(gallery)]).added == 13
    odd.unlink()
    odd.symlink_to("nowhere")
    assert index.update().refused == {str(odd): "No such file or directory"}
    assert len(index) == 13
    odd.unlink()
    odd.write_text("words")
    assert "not a picture" in index.update().refused[str(odd)]
    odd.unlink()
    assert index.update().removed == 1


def test_patterns_leave_out_what_folders_leave_out(gallery: Path) -> None:
    for name in ("@eaDir", ".hidden", "private"):
        (gallery / "more" / name).mkdir()
        picture(gallery / "more" / name / "x.png", 1)
    (gallery / "clip.mov").write_bytes(b"\0\0\0\x14ftypqt  ")
    (gallery / "more" / ".imtextignore").write_text("private\n")
    found = find([str(gallery / "*")], rules=Rules(("/0*.png",)))
    assert found_names(found) == ["09.png", "10.png", "11.png"], "a pattern is relative to the folder where `*` begins"
    assert found.other == {str(gallery / "clip.mov"): "MOV"}
    reasons = [*["by --exclude"] * 9, "@eaDir", "hidden", "by .imtextignore", ""]  # nobody is told of .imtextignore
    assert sorted(found.skipped.values()) == sorted(reasons)
    found = find([str(gallery / "*" / "*" / "x.png")])
    assert found_names(found) == []
    assert found.skipped[str(gallery / "more" / "private")] == "by .imtextignore"


def test_what_is_named_is_read(gallery: Path) -> None:
    hidden = gallery / ".hidden"
    hidden.mkdir()
    picture(hidden / "x.png", 1).rename(hidden / "._x")
    assert found_names(find([str(hidden / "._x")], rules=Rules(("._x",)))) == ["._x"]
    assert found_names(find([], files=[str(hidden / "._x")], rules=Rules(("._x",)))) == ["._x"]
    picture(hidden / "y.png", 1)
    assert found_names(find([str(hidden)])) == ["y.png"]


def test_not_a_plain_file(gallery: Path) -> None:
    os.mkfifo(gallery / "pipe.png")
    assert find([str(gallery)]).refused == {str(gallery / "pipe.png"): "not a regular file"}


def test_lists_and_patterns(index: Index, gallery: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("gallery/00.png\n\ngallery/missing.png\n")
    report = index.update([str(tmp_path / "list.txt")])
    assert names(index) == ["00.png"]
    assert report.refused == {str(gallery / "missing.png"): "No such file or directory"}
    index.update([str(gallery / "0[1-2].png"), str(gallery / "05.png")])
    assert names(index) == ["00.png", "01.png", "02.png", "05.png"]


def test_text_that_is_not_a_list(index: Index, gallery: Path, tmp_path: Path) -> None:
    text = tmp_path / "letter.txt"
    for content in ("Dear all,\n\nthe photos are on the other drive.\n", ""):
        text.write_text(content)
        with pytest.raises(SearchError, match=r"letter\.txt is not a list of pictures: none of its lines"):
            index.update([str(text)])
    assert index.store.sources() == []
    text.write_text("gallery/00.png\n")
    index.update([str(text)])
    (gallery / "00.png").unlink()
    picture(gallery / "new.png", 100)
    assert index.update([str(gallery)]).added == 12
    assert index.update().refused == {str(gallery / "00.png"): "No such file or directory"}, "it was a list before"


def test_neither_picture_nor_list(index: Index, gallery: Path) -> None:
    film = gallery / "film.mov"
    film.write_bytes(b"\0\0\0\x14ftypqt  \xff" + bytes(1000))
    report = index.update([str(gallery / "00.png"), str(film)])
    assert report.added == 1
    assert "neither a picture" in report.refused[str(film)]
    with pytest.raises(SearchError, match="Nothing matches"):
        index.update([str(gallery / "*.tiff")])
