from __future__ import annotations

from pathlib import Path

import pytest

from imtext.benchmark.scale_plot import benchmark_run, print_and_plot
from imtext.errors import ConfigError


def test_plotted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"p50": 1.0, "p95": 2.0, "cpu": 1.5, "recall": 0.9, "memory": 5e7, "disk": 10**6, "build": 0.0}
    methods = ("matrix", "Lance, index")
    rows = [{**row, "size": size, "method": method} for size in (1_000, 10_000) for method in methods]
    print_and_plot({"embed_dim": 32, "queries": 5, "rows": rows}, tmp_path / "scale.png")
    assert (tmp_path / "scale.png").read_bytes().startswith(b"\x89PNG")
    assert "Plot: " in capsys.readouterr().out


def test_sizes_ascend() -> None:
    with pytest.raises(ConfigError, match="--sizes must ascend, not 10 5"):
        benchmark_run(Path("run"), 8, [10, 5], 10, 3)
