"""The benchmark of a server, with few searches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imtext.benchmark import serving
from imtext.benchmark.serving import benchmark_serving, print_serving
from imtext.errors import ImtextError
from imtext.search import Bundle


@pytest.mark.slow
def test_searches_are_counted(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    found = benchmark_serving(bundle, 60, [20, 50], seconds=1)
    assert found["pictures"] == 60
    assert found["memory"] > 10e6
    assert [row["rate"] for row in found["rates"]] == [20, 50]
    for row in found["rates"]:
        assert row["failed"] == 0
        assert 0 < row["p50"] <= row["p99"]
        assert row["answered_per_second"] > 0
    assert json.dumps(found)
    print_serving(found)
    assert "A server over 60 pictures" in capsys.readouterr().out


def test_statuses_are_told_apart() -> None:
    summary = serving._summary([(200, 0.001), (200, 0.003), (503, 0.002), (500, 1.0), (0, 1.0)], seconds=2)
    assert summary == {
        "answered_per_second": 1, "p50": 2, "p99": pytest.approx(2.98), "refused": 1, "refused_p50": 2,
        "refused_p99": 2, "failed": 2,
    }  # fmt: skip
    assert serving._summary([(0, 1.0)], seconds=1)["p50"] is None


@pytest.mark.slow
def test_a_server_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ImtextError, match=r"imtext serve did not start: .*There is no index"),
        serving._server(tmp_path),
    ):
        pass
