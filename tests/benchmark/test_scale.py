from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imtext.benchmark import scale
from imtext.benchmark.scale import APPROXIMATE, EXACT, benchmark_scale, print_scale
from imtext.benchmark.searching import random_unit


@pytest.mark.slow
def test_every_method_finds_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    found = benchmark_scale(random_unit(rng, 100, 32), random_unit(rng, 8, 32), [2_000, 6_000], 2_000, tmp_path)
    assert [(row["size"], row["method"]) for row in found["rows"]] == [
        *((2_000, method) for method in EXACT + APPROXIMATE), (6_000, "Lance, index"),
    ]  # fmt: skip
    recalls = {row["method"]: row["recall"] for row in found["rows"] if row["size"] == 2_000}
    assert [recalls[method] for method in EXACT] == [1.0, 1.0]
    assert min(recalls.values()) > 0.5
    assert all(row["p95"] >= row["p50"] > 0 and row["memory"] > 1e6 for row in found["rows"])
    assert found["rows"][1]["disk"] > 2_000 * 32 * 4
    print_scale(found)
    assert "6,000" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [], "temporary files are removed"


def test_the_nearest_are_kept_while_vectors_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "BLOCK", 300)
    rng = np.random.default_rng(0)
    made = scale._Made(tmp_path, random_unit(rng, 50, 8), random_unit(rng, 3, 8), rng)
    made.grow(120, keep=True)
    made.grow(1_000, keep=True)
    vectors = np.fromfile(tmp_path / "vectors", np.float32).reshape(1_000, 8)
    order = np.argsort(-(made.texts @ vectors.T), axis=1)[:, :10]
    assert [{*row} for row in made.ids.tolist()] == [{*row} for row in order.tolist()]
    written = made.table.to_arrow()
    assert written["id"].to_pylist() == list(range(1_000))
    np.testing.assert_array_equal(np.array(written["vector"].to_pylist(), np.float32), vectors)
