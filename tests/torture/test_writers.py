"""Several processes write to one index at the same time: one after the other, or not at all."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from imtext.search import Bundle, Index
from tests.conftest import picture
from tests.torture.amounts import amount, write_down

ROUNDS, WRITERS = amount(2, 40), 3

pytestmark = pytest.mark.slow


def test_at_the_same_time(bundle: Bundle, tmp_path: Path) -> None:
    gallery, folder = tmp_path / "gallery", tmp_path / "index"
    gallery.mkdir()
    Index.create(folder, bundle).close()
    command = [sys.executable, "-m", "imtext", "index", str(gallery), "--index", str(folder), "--verify"]
    chance, ended = random.Random(0), Counter[str]()
    for round in range(ROUNDS):
        for number in range(20):
            picture(gallery / f"{number:02}.png", round * 100 + number)
        writers = []
        for _ in range(WRITERS):
            writers.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
            time.sleep(chance.uniform(0, 0.05))
        for writer in writers:
            _, said = writer.communicate(timeout=200)
            ended["updated" if writer.returncode == 0 else "refused"] += 1
            assert writer.returncode == 0 or "Another process is indexing" in said, said
        index = Index(folder)
        assert index.compare().changed == index.compare().new == []
        assert index.store.check() == len(index) == 20
        index.close()
    assert ended["updated"] >= ROUNDS
    assert ended["refused"], "no writer met another one: nothing was tested"
    write_down(f"{ROUNDS} times {WRITERS} writers: {dict(ended)}")
