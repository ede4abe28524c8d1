"""Approximate search is compared with exact search, in a gallery that hides the pictures of a run."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from imtext.benchmark.__main__ import main
from imtext.benchmark.vectors import _drawn_like, benchmark_vectors, print_vectors
from imtext.train import train
from tests.conftest import TINY_SHAPES, Compose


def test_drawn_vectors_lie_where_the_others_do() -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(300, 8)).astype(np.float32) * np.geomspace(1, 0.01, 8, dtype=np.float32) + 0.5
    real /= np.linalg.norm(real, axis=1, keepdims=True)
    drawn = _drawn_like(real, 5_000, rng, block=1_000)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(drawn.mean(axis=0), real.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(drawn.var(axis=0), real.var(axis=0), rtol=0.4, atol=0.01)  # rescaled to unit length


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
