"""Indexing a shoebox of odd files gives exactly what it promises for each of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from imtext.search import Index, parse_query
from imtext.search.index.discovery import find
from imtext.search.index.rules import Rules
from tests.search.index.shoebox import FOLDED, INDEXED, OTHER, REFUSED, SILENT, SKIPPED, pack

pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
RULES = Rules(("/excluded/",))


def test_shoebox(in_folder: Index, tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.mkdir()
    expected = pack(box)
    assert len(expected) > 150
    report = in_folder.update([str(box)], rules=RULES)
    known = {file.path: file.reason for file in in_folder.store.files()}
    found = find([str(box)], rules=RULES)
    reasons = {path: REFUSED + reason for path, reason in report.refused.items()}
    reasons |= {path: OTHER + kind for path, kind in found.other.items()}
    reasons |= {path: SKIPPED + reason for path, reason in found.skipped.items() if reason}
    reasons |= {path: INDEXED for path, reason in known.items() if not reason}

    def fate(path: Path) -> str:
        """What became of a file, or of the outermost folder around it that was left out."""
        return next((reasons[str(one)] for one in (path, *path.parents) if str(one) in reasons), SILENT)

    wrong = {
        path: (promised, became)
        for path, promised in expected.items()
        if (became := fate(Path(path))) != promised and not (promised.startswith(REFUSED) and _fits(promised, became))
    }
    assert not wrong
    assert report.other == Counter(kind.removeprefix(OTHER) for kind in expected.values() if kind.startswith(OTHER))
    assert set(report.skipped) == {one.removeprefix(SKIPPED) for one in expected.values() if one.startswith(SKIPPED)}
    assert report.added + report.copies == list(expected.values()).count(INDEXED)
    groups = [{path for one in group for path in (one.path, *one.copies)} for group in in_folder.duplicates()]
    assert sorted(map(sorted, groups)) == sorted(sorted(str(box / name) for name in names) for names in FOLDED)
    shown = in_folder.search(parse_query("red"), 100)
    assert len(shown) == len(in_folder) - sum(one.near_duplicates for one in shown)
    assert sum(one.near_duplicates for one in shown) == sum(map(len, FOLDED)) - len(FOLDED) - 1, "a link is a copy"
    again = in_folder.update()
    assert (again.added, again.removed, again.copies) == (0, 0, 0)
    assert (again.other, again.skipped) == (report.other, report.skipped)
    # The folder with a bad .imtextignore, links and pipes are named each time; broken files only once.
    assert len(again.refused) < len(report.refused) - 10


def _fits(promised: str, became: str) -> bool:
    return became.startswith(REFUSED) and promised.removeprefix(REFUSED) in became
