"""The page of all benchmarks."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from imtext.benchmark.page import Bar, Chart, Part, plain, write_page
from imtext.benchmark.speed import Speed


class Tags(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_what_was_measured_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = Chart("Fast <things>", "ms", [Bar("imtext", 2.0), Bar("other & old", 5.0, own=False)])
    parts = [
        Part("Search", "python -m imtext.benchmark search", 3.2, "a <table>", [chart], {"p50": 2.0}),
        Part("Training", "python -m imtext.benchmark train", 0, "not measured: pip install it"),
    ]
    write_page(tmp_path / "page.html", {"machine": {"cores": "2"}, "parts": parts})
    page = Tags()
    page.feed((tmp_path / "page.html").read_text())
    for text in (
        "cores",
        "Fast <things>",
        "2.00 ms, 1.00 ×",
        "5.00 ms, 2.50 ×",
        "a <table>",
        "other & old",
        '"p50": 2.0',
    ):
        assert text in page.text
    assert "not measured: pip install it" in page.text
    assert page.tags.count("h2") == 2
    assert "script" not in page.tags
    assert str(tmp_path / "page.html") in capsys.readouterr().out


def test_values_that_json_does_not_know() -> None:
    assert plain(Speed("steps", 1, 2, 0, 3)) == {"what": "steps", "images": 1, "captions": 2, "waiting": 0, "memory": 3}
    assert plain(Path("a")) == "a"
