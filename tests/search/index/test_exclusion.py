"""What is left out below a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.search.index.exclusion import Folder, IgnoreFileError, Tree
from imtext.search.index.rules import Rules


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("@eaDir", "@eaDir"),
        ("@EADIR", "@eaDir"),
        ("$Recycle.Bin", "$RECYCLE.BIN"),
        (".Trash-1000", ".Trash"),
        (".hidden", "hidden"),
        ("My Catalog Previews.lrdata", "*.lrdata"),
        ("Trash", ""),
        ("eaDir", ""),
        ("resources", ""),
        ("P.photoslibrary", ""),
    ],
)
def test_names(name: str, reason: str) -> None:
    assert Folder("/photos", Rules()).why_left_out(name, is_folder=True) == reason
    assert Folder("/photos", Rules(include_hidden=True)).why_left_out(name, is_folder=True) == ""
    assert Folder("/photos", Rules()).enter(name).left_out == reason


def test_files_have_other_names_than_folders() -> None:
    folder = Folder("/photos", Rules())
    assert folder.why_left_out("@eaDir", is_folder=False) == ""
    assert folder.why_left_out("._a.jpg", is_folder=False) == "hidden"


def test_libraries_have_originals() -> None:
    library = Folder("/P.PhotosLibrary", Rules())
    assert [name for name in ("originals", "Masters", "resources") if not library.enter(name).left_out] == [
        "originals",
        "Masters",
    ]
    assert library.enter("originals").enter("resources").left_out == ""


def test_patterns_of_deeper_folders_win_and_those_of_the_user_win_over_all(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / ".imtextignore").write_bytes(b"\xef\xbb\xbf*.png\r\n# a comment\r\n/top\r\n")
    (tmp_path / "a" / ".imtextignore").write_text("!keep.png\n*.gif\n!*.bmp\n")
    tree = Tree(Folder(str(tmp_path), Rules(("*.bmp", "!*.tif"))))
    for path, name, reason in (
        (tmp_path, "x.png", "by .imtextignore"),
        (tmp_path, "x.gif", ""),
        (tmp_path, "top", "by .imtextignore"),
        (tmp_path / "a", "top", ""),
        (tmp_path / "a", "x.png", "by .imtextignore"),
        (tmp_path / "a", "keep.png", ""),
        (tmp_path / "a" / "b", "keep.png", ""),
        (tmp_path / "a" / "b", "x.gif", "by .imtextignore"),
        (tmp_path / "a", "x.bmp", "by --exclude"),
    ):
        if path == tmp_path:
            tree.folder(str(path)).read_ignore_file()
        assert tree.folder(str(path)).why_left_out(name, is_folder=False) == reason, (path, name)


def test_a_tree_names_the_outermost_folder_that_is_left_out() -> None:
    tree = Tree(Folder("/photos", Rules(("/2019/",))))
    assert (tree.folder("/photos/2020").left_out, tree.folder("/photos/2020").path) == ("", "/photos/2020")
    assert (tree.folder("/photos/2019/a/b").left_out, tree.folder("/photos/2019/a/b").path) == (
        "by --exclude",
        "/photos/2019",
    )
    assert tree.folder("/elsewhere").left_out == ""


@pytest.mark.parametrize("content", [b"!\n", None])
def test_an_ignore_file_that_cannot_be_followed(tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        (tmp_path / ".imtextignore").mkdir()
    else:
        (tmp_path / ".imtextignore").write_bytes(content)
    with pytest.raises(IgnoreFileError, match=r"^\.imtextignore: "):
        Folder(str(tmp_path), Rules()).read_ignore_file()
