"""The steps of a process that is tied to a core."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from imtext.benchmark.pinned import main
from tests.conftest import TINY_SHAPES

pytestmark = pytest.mark.timeout(900)  # a busy machine imports torch for minutes


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system ties no processes to cores")
def test_the_steps_are_timed_on_one_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.sched_getaffinity(0)
    monkeypatch.setenv("IMTEXT_CORES", str(max(before)))
    paths = [f"paths.output_dir={tmp_path}", f"data.cache_dir={tmp_path}", "paths.root=."]
    monkeypatch.setattr(sys, "argv", ["pinned", str(tmp_path / "seconds.json"), "4", *TINY_SHAPES, *paths])
    try:
        main()
        assert os.sched_getaffinity(0) == {max(before)}
    finally:
        os.sched_setaffinity(0, before)
    seconds = json.loads((tmp_path / "seconds.json").read_text())
    assert len(seconds) == 4
    assert all(each > 0 for each in seconds)
