"""Approximate search is compared with exact search, in a gallery that hides the pictures of a run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from imtext.benchmark.__main__ import main
from imtext.benchmark.vectors import benchmark_vectors, print_vectors
from imtext.train import train
from tests.conftest import TINY_SHAPES, Compose


@pytest.mark.slow
def test_methods_are_compared(
    compose: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["trainer.max_epochs=1", "logger=none", "callbacks.examples=null", "baseline=false", "bundle=true"]
    train(compose(*TINY_SHAPES, *options))
    run = tmp_path / "runs" / "run"
    found = benchmark_vectors(run, run, sizes=[10, 12_000], queries=5)
    rows = {(row["size"], row["method"]): row for row in found["rows"]}
    assert len(rows) == 4
    for (size, method), row in rows.items():
        assert 0 <= row["r@10"] <= 1
        if method == "exact" or size == 10:
            assert row["recall"] == 1
    assert rows[12_000, "exact"]["bytes"] == 128
    assert 0 < rows[12_000, "approximate"]["bytes"] <= 128
    assert 0 < rows[12_000, "approximate"]["recall"] <= 1
    assert rows[12_000, "exact"]["milliseconds"] > 0
    assert rows[12_000, "exact"]["processor"] > 0
    print_vectors(found)
    assert "5 captions, one at a time" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["benchmark", "vectors", str(tmp_path / "nothing")])
    with pytest.raises(SystemExit, match="nothing"):
        main()
