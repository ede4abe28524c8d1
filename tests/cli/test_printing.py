from __future__ import annotations

import os
from pathlib import Path

import pytest

from imtext.cli.printing import json_row, one_line, print_first, print_results, result_row, write_page
from imtext.errors import SearchError
from imtext.search import SearchResult


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/a/ä b.png", "/a/ä b.png"),
        ("a\nb", "a\\nb"),
        (os.fsdecode(b"\xff.png"), "\\udcff.png"),
        ("a\x1b[31m", "a\\x1b[31m"),
    ],
)
def test_one_line(path: str, shown: str) -> None:
    assert one_line(path) == shown


def test_print_first(capsys: pytest.CaptureFixture[str]) -> None:
    print_first(["a", "b"], 2, "new")
    print_first(["a", "b", "c", "d"], 2, "new", " (see the log)")
    assert capsys.readouterr().out.splitlines() == [
        "new: a", "new: b", "new: a", "new: b", "new: … and 2 more (see the log)"
    ]  # fmt: skip


def test_print_results(capsys: pytest.CaptureFixture[str]) -> None:
    results = [
        SearchResult("a.png", 0.5, 0.87, copies=("b.png",), found_by=["picture", "title"]),
        SearchResult("c.png", -0.25, None, found_by=["file name", "folder"]),
    ]
    print_results(results, 3, preview=True)
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        " 87 %   0.500  a.png  [title]  (+1 copy)",
        "    –  -0.250  c.png  [file name, folder]",
    ]
    assert "try --open" in printed.err
    print_results([], 0, preview=False)
    assert capsys.readouterr().out == "The index is empty.\n"


def test_json_row() -> None:
    assert json_row("text", "a dog", 0.12345678, None) == {"text": "a dog", "score": 0.123457, "relevance": None}


@pytest.mark.parametrize("scored", [False, True])
def test_a_picture_lists_its_copies(scored: bool) -> None:
    assert result_row(SearchResult("a.png", 0.5, 0.87, copies=("b.png",)), scored)["copies"] == ("b.png",)


def test_write_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_page(tmp_path / "page.html", [("a dog", [])], open_page=False)
    assert "No good match" in (tmp_path / "page.html").read_text()
    assert capsys.readouterr().err == f"Page: {tmp_path / 'page.html'}\n"
    with pytest.raises(SearchError, match="cannot be written: Is a directory"):
        write_page(tmp_path, [("a dog", [])], open_page=False)
