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
from imtext.training.checkpoints import read_checkpoint
from tests.conftest import TINY_SHAPES, picture
from tests.torture.amounts import amount, write_down

ATTEMPTS, RUNS = amount(6, 100), amount(2, 10)
LARGEST = 14_000_000  # bytes; the checkpoint of the tiny model is smaller
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.argv = sys.argv[2:]
import runpy
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""

pytestmark = pytest.mark.slow


def limited(limit: int, module: str, *arguments: str) -> str:
    """Run a program whose files cannot grow beyond a number of bytes; returns whether it ended or said why not."""
    command = [sys.executable, "-c", LIMITED, str(limit), module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    if done.returncode == 0:
        return "whole"
    assert done.stderr.strip().splitlines()[-1].startswith("error: "), f"{limit}: {done.stderr}"
    assert "Traceback" not in done.stderr
    return "said"


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
        options = ["index", str(gallery), "--index", str(folder), "--bundle", str(bundle.path)]
        ended[limited(chance.randrange(largest), "imtext", *options)] += 1
        after = Index.create(folder, bundle)
        held = {file.path: file.content for file in after.store.files()}
        assert held.items() <= right.items()
        after.update([str(gallery)])
        assert {file.path: file.content for file in after.store.files()} == right
        assert after.store.check() == len(right)
        after.close()
    assert ended["said"], "the limits were too large: nothing was tested"
    write_down(f"indexing, {ATTEMPTS} limits between 0 and {largest:,} bytes: {dict(ended)}")


def test_training(tmp_path: Path) -> None:
    settings = [*TINY_SHAPES, "logger=none", "callbacks.examples=null", "baseline=false", "trainer.max_epochs=2"]
    chance, ended, resumed = random.Random(0), Counter[str](), 0
    for attempt in range(RUNS):
        folder = tmp_path / "runs" / f"run {attempt}"
        paths = [f"hydra.run.dir='{folder}'", f"paths.root='{tmp_path}'", f"paths.cache_dir='{folder}/cache'"]
        outcome = limited(chance.randrange(LARGEST), "imtext.train", *settings, *paths)
        ended[outcome] += 1
        kept = folder / "checkpoints" / "last.ckpt"
        if kept.is_file():
            assert read_checkpoint(kept)["state_dict"], "a checkpoint is whole or not there"
            if outcome == "said":
                assert limited(2**40, "imtext.train", f"ckpt_path='{kept}'", *paths[1:]) == "whole"
                resumed += 1
        assert not list(folder.rglob("*.part")), "what could not be finished takes no space"
    assert ended["said"], "the limits were too large: nothing was tested"
    write_down(f"training, {RUNS} limits between 0 and {LARGEST:,} bytes: {dict(ended)}; {resumed} went on")
