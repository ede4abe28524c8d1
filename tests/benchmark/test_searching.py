"""The benchmark of search, on a small gallery."""

from __future__ import annotations

import json

import pytest

from imtext.benchmark import searching
from imtext.benchmark.searching import WHOLE, benchmark_search, print_search
from imtext.search import Bundle


@pytest.mark.slow
def test_methods_are_compared(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(searching, "COLD_SIZE", 50)
    monkeypatch.setattr(searching, "_bandwidth", lambda: 1e9)
    found = benchmark_search(bundle, [60], queries=30, starts=1)
    assert {"imtext", WHOLE} <= {row["method"] for row in found["sizes"]}
    assert all(0 < row["p50"] <= row["p99"] for row in found["sizes"])
    assert found["cold"]["memory"] > 10e6
    assert json.dumps(found)
    print_search(found)
    assert "in a new process" in capsys.readouterr().out
