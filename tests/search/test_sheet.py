"""The page with results is one self-contained file."""

from __future__ import annotations

from pathlib import Path

from imtext.search.results import SearchResult
from imtext.search.sheet import contact_sheet
from tests.conftest import picture


def test_contact_sheet(tmp_path: Path) -> None:
    path = picture(tmp_path / "one & two.png", 0)
    results = [
        SearchResult(str(path), 0.5, 0.873, copies=("copy.png",), found_by=["picture", "title"]),
        SearchResult("gone\n.png", 0.25, None),
    ]
    page = contact_sheet([("<b>red</b>", results), ("blue", [])])
    assert page.count("data:image/jpeg;base64,") == 1
    assert "http" not in page, "nothing is loaded from elsewhere"
    assert "&lt;b&gt;red&lt;/b&gt;" in page
    assert "<b>red" not in page
    assert "1. one &amp; two.png<br><small>in: title</small><br><small>copies: 1</small>" in page
    assert "87 %" in page
    assert "2. gone�.png<br><small>file not found</small>" in page
    assert "No good match." in page


def test_names_of_any_bytes() -> None:
    assert "\udce9" not in contact_sheet([("red", [SearchResult("caf\udce9.png", 0.5, None)])])
