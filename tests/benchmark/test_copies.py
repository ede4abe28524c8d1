"""The benchmark of copies, on a few drawn scenes."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.benchmark.copies import CHANGES, benchmark_copies, print_copies
from tests.search.photos import scene


def test_copies_are_found_and_others_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(6):
        scene(number).save(tmp_path / f"{number}.png")
    found = benchmark_copies(tmp_path, 3, made_up=200)
    share = {row["change"]: row["found"] for row in found["rows"]}
    assert share.keys() == CHANGES.keys()
    assert (share["half the size"], share["mirrored"]) == (1, 0)
    assert (found["pairs"], found["mistaken"], found["plain"], found["copies"]) == (15, 0, 0, 3)
    assert found["closest"] > 22
    print_copies(found)
    assert "0 of 15 pairs of different photos pass for copies" in capsys.readouterr().out
