"""What the user leaves out holds for later updates."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.errors import SearchError
from imtext.search import Bundle, Index
from imtext.search.index.rules import SETTINGS, Rules, read_rules, write_rules
from tests.conftest import picture
from tests.search.index.conftest import names


def test_override() -> None:
    rules = Rules(("*.png",), include_hidden=True)
    assert rules.override() == rules
    assert rules.override(["a", "b"]) == Rules(("a", "b"), include_hidden=True)
    assert rules.override([""], include_hidden=False) == Rules()
    with pytest.raises(SearchError, match=r"--exclude: .*'!'.*\.gitignore"):
        rules.override(["!"])


def test_written_and_read(tmp_path: Path) -> None:
    assert read_rules(tmp_path) == read_rules(tmp_path / "missing") == Rules()
    for rules in (Rules(("é \udcff*",), include_hidden=True), Rules()):
        write_rules(tmp_path, rules)
        assert read_rules(tmp_path) == rules
    assert [path.name for path in tmp_path.iterdir()] == [SETTINGS]
    for content in ("", "[]", '{"exclude": 1}', '{"exclude": ["!"], "include_hidden": false}'):
        (tmp_path / SETTINGS).write_text(content)
        with pytest.raises(SearchError, match=r"settings\.json"):
            read_rules(tmp_path)


def test_an_index_remembers_them(index: Index, gallery: Path, bundle: Bundle) -> None:
    (gallery / ".thumbnails").mkdir()
    picture(gallery / ".thumbnails" / "12.png", 12)
    index.update([str(gallery)])
    assert len(index) == 12
    rules = Rules(("/0[1-8].png",), include_hidden=True)
    report = index.update(rules=rules)
    assert (report.added, report.removed, report.skipped) == (1, 8, {"by --exclude": 8})
    assert names(index) == ["12.png", "00.png", "09.png", "10.png", "11.png"]
    again = Index(index.folder)
    assert again.rules == rules
    assert again.update().unchanged == 5
    rebuilt = Index.create(index.folder, bundle, rebuild=True)
    assert (rebuilt.update().added, len(rebuilt)) == (5, 5)
    assert rebuilt.update(rules=Rules()).added == 8


def test_excluding_everything_needs_consent(index: Index, gallery: Path) -> None:
    """As with an empty folder: a pattern that is too wide must not cost the index."""
    index.update([str(gallery)])
    assert "--allow-empty" in index.update(rules=Rules(("*",))).refused[str(gallery)]
    assert (index.update().removed, len(index)) == (0, 12)
    assert index.update(allow_empty=True).removed == 12


def test_a_rule_that_cannot_be_followed_changes_nothing(index: Index, gallery: Path) -> None:
    index.update([str(gallery)])
    with pytest.raises(SearchError, match="does not exist"):
        index.update([str(gallery / "missing")], rules=Rules(("*.png",)))
    assert index.rules == Rules()
