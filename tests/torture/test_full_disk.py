"""The disk is full at any moment: one line says so, what was committed before stays, and the next attempt goes on.

No file can grow beyond a limit, which the system enforces as it does a full disk: at any byte of any write.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from imtext.search import Bundle, Index
from tests.conftest import picture
from tests.torture.amounts import amount, write_down

ATTEMPTS = amount(6, 100)
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.argv = ["imtext", *sys.argv[2:]]
from imtext.cli.main import main
main()
"""

pytestmark = pytest.mark.slow


def test_indexing(bundle: Bundle, tmp_path: Path) -> None:
    gallery, whole = tmp_path / "gallery", tmp_path / "whole"
    gallery.mkdir()
    for number in range(40):
        picture(gallery / f"{number:02}.png", number)
    index = Index.create(whole, bundle)
    index.update([str(gallery)])
    right = {file.path: file.content for file in index.store.files()}
    index.close()
    largest = max(file.stat().st_size for file in whole.rglob("*") if file.is_file())
    chance, ended = random.Random(0), Counter[str]()
    for attempt in range(ATTEMPTS):
        folder = tmp_path / f"index {attempt}"
        command = [sys.executable, "-c", LIMITED, str(chance.randrange(largest)), "index", str(gallery)]
        command += ["--index", str(folder), "--bundle", str(bundle.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        ended["whole" if done.returncode == 0 else "said"] += 1
        if done.returncode:
            assert done.stderr.strip().splitlines()[-1].startswith("error: "), done.stderr
            assert "Traceback" not in done.stderr
        after = Index.create(folder, bundle)
        held = {file.path: file.content for file in after.store.files()}
        assert held.items() <= right.items()
        after.update([str(gallery)])
        assert {file.path: file.content for file in after.store.files()} == right
        assert after.store.check() == len(right)
        after.close()
    assert ended["said"], "the limits were too large: nothing was tested"
    write_down(f"{ATTEMPTS} limits between 0 and {largest:,} bytes: {dict(ended)}")
