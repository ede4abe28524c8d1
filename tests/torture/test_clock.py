"""The clock jumps, and files have impossible dates."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from imtext.search import Bundle, Index
from imtext.search.filters import parse_filters
from imtext.search.query import parse_query
from tests.conftest import picture
from tests.torture.amounts import amount, write_down

ROUNDS = amount(3, 100)
DATES = -(2**40), -1, 0, 1, 10**9, 2**32, 2**33, 253_402_300_800, 2**40  # seconds since 1970; the last ones are no year

pytestmark = pytest.mark.slow


def test_an_index_is_the_same(bundle: Bundle, gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, now = random.Random(0), time.time
    index = Index.create(tmp_path / "index", bundle)
    query = parse_query("red circle")
    for round in range(ROUNDS):
        monkeypatch.setattr(time, "time", lambda: now() + chance.choice([-1, 1]) * chance.random() * 10**9)
        for number, path in enumerate(sorted(gallery.rglob("*.png"))):
            date = chance.choice(DATES)
            try:
                os.utime(path, (date, date))
            except (OSError, OverflowError):  # this file system has no such date
                os.utime(path, (0, 0))
            if number == round % 12:
                picture(path, 1_000 + round)
                os.utime(path, (1, 1))  # the same date every time
        report = index.update([str(gallery)])
        assert (report.refused, len(index)) == ({}, 12)
        assert report.added == (1 if round else 12)
        after, before = (
            {result.path for result in index.search(query, 20, filters=filters)}
            for filters in (parse_filters(after="1990"), parse_filters(before="1990"))
        )
        assert not after & before
        assert len(after | before) == 12
        assert len(index.newest(20)) == 12
    index.close()
    write_down(f"{ROUNDS} updates, each with another clock and other dates of all files")
