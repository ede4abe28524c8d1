"""Paired differences between trials."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from imtext.training.sweep.comparison import Result, compare, markdown, paired, read_results, table_of, write_result


def result(trial: str, seed: int, level: float) -> Result:
    recalls = {f"val/{direction}_r@{k}": level + k / 100 for direction in ("t2i", "i2t") for k in (1, 5, 10)}
    return Result(trial, seed, [trial], {**recalls, "val/rsum": sum(recalls.values()), "seconds": 3.0})


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    ours, base = rng.normal(1, 1, 6).tolist(), rng.normal(0, 1, 6).tolist()
    found, expected = paired(ours, base), stats.ttest_rel(ours, base)
    low, high = expected.confidence_interval(0.95)
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high))
    assert found.decided == (expected.pvalue < 0.05)


def test_one_pair_decides_nothing() -> None:
    found = paired([2.0], [1.0])
    assert (found.mean, math.isinf(found.half_width), found.decided, str(found)) == (1.0, True, False, "+1.0")


def test_only_common_seeds_are_compared() -> None:
    found = [result("a", 1, 0.1), result("b", 1, 0.2), result("a", 2, 0.3), result("c", 5, 0.2)]
    a, b, c = compare(found)
    assert (a.rsum, a.r10) == (None, {})
    assert b.rsum is not None
    assert b.rsum.mean == pytest.approx(60)
    assert b.r10["i2t"].mean == pytest.approx(10)
    assert c.rsum is None  # it has no seed of the first trial
    assert a.mean("t2i") == "21.0 / 25.0 / 30.0"


def test_tables() -> None:
    pairs = [result("", 1, 0.1), result("b", 1, 0.2), result("", 2, 0.1), result("b", 2, 0.201)]
    rows = compare(pairs)
    lines = markdown(rows).splitlines()
    assert lines[2] == "| (as it is) | 1, 2 | 11.0 / 15.0 / 20.0 | 11.0 / 15.0 / 20.0 | – | – | – | 3 |"
    assert "| +60.3 ±3.8* | +10.1 ±0.6* | +10.1 ±0.6* |" in lines[3]
    console = Console(width=80)
    with console.capture() as text:
        console.print(table_of(rows))
    assert "+60.3 ±3.8*" in text.get()


def test_results_survive_a_cut_line(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    for number in range(2):
        write_result(result("a", number, 0.1), file)
    with file.open("a") as lines:
        lines.write('{"trial": "a", "se')
    assert read_results(file) == [result("a", number, 0.1) for number in range(2)]
