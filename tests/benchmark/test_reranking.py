"""The benchmark of re-ranking, on a few pictures."""

from __future__ import annotations

import pytest

from imtext.benchmark.reranking import benchmark_rerank, print_rerank
from imtext.errors import BundleError
from imtext.search import Bundle
from imtext.training.checkpoints import TrainedModel


@pytest.mark.slow
def test_rows_and_sizes(
    bundle: Bundle, reranked: tuple[TrainedModel, Bundle], capsys: pytest.CaptureFixture[str]
) -> None:
    found = benchmark_rerank(reranked[1], None, count=12, queries=2)
    assert found["pictures"] == 12
    assert [(row["way"], row["candidates"]) for row in found["rows"]] == [
        ("no re-ranker", 0), ("stored", 10), ("stored", 50), ("stored", 100),
        ("from files", 10), ("from files", 50), ("from files", 100),
    ]  # fmt: skip
    assert found["bytes"]["stored"] > found["bytes"]["from files"]
    print_rerank(found)
    assert "from files     100 candidates:" in capsys.readouterr().out
    with pytest.raises(BundleError, match=r"has no re-ranker. To train one: python -m imtext\.rerank"):
        benchmark_rerank(bundle, None, 1)
