"""Unfinished files of killed processes are removed, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from imtext.search.leftovers import remove_leftovers


def test_only_of_processes_that_have_ended(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    for name in (f"cache.{ended.pid}", f"cache.{ended.pid}.7", f"cache.{os.getpid()}", f"other.{ended.pid}", "cache"):
        (tmp_path / name).touch()
    (tmp_path / f".half.{ended.pid}").mkdir()
    (tmp_path / f".half.{ended.pid}" / "file").touch()
    remove_leftovers(tmp_path, r"cache|\.half")
    assert {path.name for path in tmp_path.iterdir()} == {f"cache.{os.getpid()}", f"other.{ended.pid}", "cache"}
