"""Sources are remembered and updated; a missing or empty source does not block the others."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pytest

from imtext.errors import SearchError
from imtext.search import Index, parse_query
from imtext.search.index.sources import EMPTIED
from tests.conftest import picture


def test_nothing_there(index: Index, tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="Nothing has been indexed yet"):
        index.update()
    with pytest.raises(SearchError, match=r"nowhere does not exist\. Give a folder"):
        index.update(["nowhere"])
    with pytest.raises(SearchError, match="There is no index in"):
        Index(tmp_path / "elsewhere")


def test_unmounted_drive(index: Index, gallery: Path) -> None:
    index.update([str(gallery)])
    shutil.rmtree(gallery)
    assert "--allow-empty" in index.update().refused[str(gallery)]
    assert len(index) == 12
    gallery.mkdir()
    with pytest.raises(SearchError, match=r"drive not mounted.*--allow-empty"):
        index.update([str(gallery)])
    assert len(index) == 12
    assert index.update(allow_empty=True).removed == 12
    assert index.search(parse_query("red")) == []


def test_a_missing_source_does_not_block_the_others(index: Index, gallery: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    picture(other / "a.png", 70)
    index.update([str(gallery), str(other)])
    shutil.rmtree(other)
    picture(gallery / "new.png", 71)
    report = index.update()
    assert (report.added, report.removed, list(report.refused)) == (1, 0, [str(other)])
    report = index.update(allow_empty=True)
    assert (report.removed, report.refused, index.store.sources()) == (1, {}, [str(gallery)])


def test_an_emptied_source_does_not_block_the_others(index: Index, gallery: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    picture(other / "a.png", 70)
    index.update([str(gallery), str(other)])
    (other / "a.png").unlink()
    picture(gallery / "new.png", 71)
    warned = {str(other): EMPTIED}
    changes = index.compare()
    assert (len(changes.new), changes.gone, changes.refused) == (1, [], warned)
    report = index.update()
    assert (report.added, report.removed, report.refused, len(index)) == (1, 0, warned, 14)
    report = index.update(allow_empty=True)
    assert (report.removed, report.refused, len(index)) == (1, {}, 13)


def test_files_of_a_pattern_are_followed(index: Index, gallery: Path) -> None:
    index.update([str(gallery / "0*.png"), str(gallery / "more" / "10.png")])
    known = len(index)
    (gallery / "00.png").unlink()
    (gallery / "01.png").rename(gallery / "0x.png")
    report = index.update()
    assert (report.removed, len(report.renamed), len(index)) == (1, 1, known - 1)
    shutil.rmtree(gallery / "more")
    assert index.update().removed == 0, "perhaps a drive is not mounted"
    assert index.update(allow_empty=True).removed == 1
    shutil.rmtree(gallery)
    assert index.update(allow_empty=True).removed == len(index.store.sources()) + known - 2
    assert index.search(parse_query("red")) == []


def test_lists_on_standard_input(index: Index, gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = gallery / "two\u2028lines\n.png"
    (gallery / "00.png").rename(odd)
    content = b"\0".join(os.fsencode(path) for path in sorted(gallery.glob("*.png"))) + b"\0"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))  # find -print0
    report = index.update(["-"])
    assert report.added == len(list(gallery.glob("*.png")))
    assert not report.refused
    assert index.store.sources() == []
    odd.unlink()
    picture(gallery / "01.png", 200)
    report = index.update()
    assert (report.added, report.removed) == (1, 1), "the list is not read again, but its files are followed"
    shutil.rmtree(gallery)
    assert index.update().removed == 0, "perhaps a drive is not mounted"
    assert index.update(allow_empty=True).removed == report.unchanged + 1


def test_sources_without_pictures_are_not_remembered(index: Index, gallery: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    (empty / "deeper").mkdir(parents=True)
    (empty / "film.mov").write_bytes(b"\0\xff")
    given = [str(gallery), str(gallery / "more"), str(empty), str(empty / "film.mov"), str(tmp_path / "emp*")]
    report = index.update(given)
    assert report.without_pictures == given[2:]
    assert index.store.sources() == given[:2]
    for path in (gallery / "more").iterdir():
        path.unlink()
    report = index.update([str(gallery / "more")], allow_empty=True)
    assert (report.removed, report.without_pictures) == (3, []), "the index knew some of it"
