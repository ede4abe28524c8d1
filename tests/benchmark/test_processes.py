"""Training steps of several processes beside those of one. Their values are not tested."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from imtext.benchmark.__main__ import main
from imtext.benchmark.processes import benchmark_processes
from imtext.errors import ImtextError
from tests.conftest import TINY_SHAPES

pytestmark = pytest.mark.timeout(900)  # a busy machine imports torch for minutes

SHAPES = [*(each for each in TINY_SHAPES if each != "trainer=cpu"), "data.num_images=60", "paths.root=."]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def test_more_processes_than_cores_are_refused() -> None:
    for count in (1, CORES + 1):
        with pytest.raises(ImtextError, match=f"--processes {count}: take 2 to"):
            benchmark_processes(SHAPES, count, steps=1, repeats=1)


@pytest.mark.slow
@pytest.mark.skipif(CORES < 2, reason="needs two cores that processes can be tied to")
def test_two_processes_are_compared_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "processes.json"
    few = ["--steps", "2", "--repeats", "1", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", ["benchmark", "processes", *SHAPES, *few])
    main()
    found = json.loads(file.read_text())
    (one,), (several,) = found["one"], found["several"]
    assert found["ratio"] == pytest.approx(several / one)
    assert found["pictures"] == 16
    assert "Time of 2 processes: " in capsys.readouterr().out
