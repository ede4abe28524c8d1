"""The benchmark of indexing, on a few pictures."""

from __future__ import annotations

import pytest

from imtext.benchmark import indexing
from imtext.benchmark.indexing import benchmark_index, print_index
from imtext.search import Bundle


@pytest.mark.slow
def test_pictures_are_counted(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(indexing, "ROUNDS", 1)
    found = benchmark_index(bundle, None, count=5, size=(64, 48), unchanged=20)
    assert found["pictures"] == 5
    assert found["ratio"] == pytest.approx(found["images_per_second"] / found["plain_per_second"])
    assert found["unchanged"] == 20
    print_index(found)
    assert "5 pictures: " in capsys.readouterr().out
