"""The results of searches, and the display of relevance."""

from __future__ import annotations

import pytest

from imtext.search.results import SearchResult, percent


def test_picture_outside_an_index() -> None:
    result = SearchResult("a.png", 0.5, None)
    assert (result.id, result.copies) == ("", ())


@pytest.mark.parametrize(("relevance", "shown"), [(0.873, "87 %"), (0.0, "0 %"), (1.0, "100 %"), (None, "–")])
def test_percent(relevance: float | None, shown: str) -> None:
    assert percent(relevance) == shown
