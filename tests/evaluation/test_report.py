"""The table, `metrics.json` and `ranks.jsonl`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from imtext.evaluation.definitions import metric_names
from imtext.evaluation.metrics import RetrievalMetrics
from imtext.evaluation.report import print_results, write_metrics, write_ranks


def test_table_shows_per_cent_and_half_an_interval(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {f"val/{name}": 0.5 for name in metric_names()} | {"val/num_images": 1000.0, "val/num_captions": 5000.0}
    print_results(metrics | {"val/t2i_r@1_low": 0.48, "val/t2i_r@1_high": 0.53}, "a model")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "a model"
    text_to_image = next(line for line in lines if "text→image" in line)
    assert "1,000" in text_to_image
    assert "50.0 ±2.5" in text_to_image
    assert "5,000" in next(line for line in lines if "image→text" in line)
    assert not any("test" in line for line in lines)  # it was not measured


def test_infinite_metrics_become_null(tmp_path: Path) -> None:
    path = write_metrics({"b": float("nan"), "a": 0.1, "c": float("inf")}, tmp_path / "new")
    assert path == tmp_path / "new" / "metrics.json"
    assert path.read_text() == '{\n  "a": 0.1,\n  "b": null,\n  "c": null\n}\n'


def test_every_query_has_its_rank(tmp_path: Path) -> None:
    metrics = RetrievalMetrics()
    images = torch.eye(3)[[0, 1]]
    texts = torch.eye(3)[[0, 1, 0]]  # the third caption describes image 4 but looks like image 2
    metrics.update(images, texts, torch.tensor([2, 4]), torch.tensor([2, 4, 4]))
    captions = [[], [], ["a dog"], [], ["a cat", "a hound"]]
    write_ranks(tmp_path / "ranks.jsonl", metrics, captions, ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg"])
    assert [json.loads(line) for line in (tmp_path / "ranks.jsonl").read_text().splitlines()] == [
        {"direction": "t2i", "image": "2.jpg", "query": "a dog", "rank": 1},
        {"direction": "t2i", "image": "4.jpg", "query": "a cat", "rank": 1},
        {"direction": "t2i", "image": "4.jpg", "query": "a hound", "rank": 2},
        {"direction": "i2t", "image": "2.jpg", "rank": 2},  # tied with a caption of another image
        {"direction": "i2t", "image": "4.jpg", "rank": 1},
    ]


def test_the_re_ranked_order_has_a_row_and_lines_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {f"val/{name}": 0.5 for name in metric_names()} | {"val/num_images": 1000.0, "val/num_captions": 5000.0}
    ranked = {"r@1": 0.614, "r@5": 0.7, "r@10": 0.8, "mrr": 0.6, "median_rank": 1.0}
    again = {f"val/rerank_t2i_{name}": value for name, value in ranked.items()} | {"val/rerank_top_k": 50.0}
    print_results(values | again, "a model")
    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if "… re-ranked" in line)
    assert row.split() == ["val", "…", "re-ranked", "1,000", "61.4", "70.0", "80.0", "0.600", "1"]
    assert "top 50 pictures scored again" in " ".join(printed.split())

    metrics = RetrievalMetrics()
    metrics.update(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), torch.tensor([0, 1]))
    write_ranks(tmp_path / "ranks.jsonl", metrics, [["a dog"], ["a cat"]], ["0", "1"], torch.tensor([2, 1]))
    lines = [json.loads(line) for line in (tmp_path / "ranks.jsonl").read_text().splitlines()]
    assert lines[2] == {"direction": "rerank_t2i", "image": "0", "query": "a dog", "rank": 2}
    assert [line["direction"] for line in lines] == ["t2i", "t2i", "rerank_t2i", "rerank_t2i", "i2t", "i2t"]


def test_equal_captions_have_a_table_and_ranks_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two images with the same caption, and the model prefers the wrong one of them."""
    metrics = RetrievalMetrics()
    images, texts = torch.eye(3), torch.tensor([[0.6, 0.8, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
    metrics.update(images, texts, torch.arange(3), torch.arange(3), torch.tensor([0, 0, -1]))
    values = {f"test/{name}": value for name, value in metrics.compute().items()}
    print_results(values, "a model")
    first, second = capsys.readouterr().out.split("Counting equal captions as right")
    assert " 66.7 " in next(line for line in first.splitlines() if "text→image" in line)
    assert " 100.0 " in next(line for line in second.splitlines() if "text→image" in line)
    print_results({name: values[name.removesuffix("_equal")] for name in values}, "a model")
    assert "Counting" not in capsys.readouterr().out, "no difference"
    write_ranks(tmp_path / "ranks.jsonl", metrics, [["a dog"], ["A dog."], ["a cat"]], ["0.jpg", "1.jpg", "2.jpg"])
    lines = [json.loads(line) for line in (tmp_path / "ranks.jsonl").read_text().splitlines()]
    assert lines[0] == {"direction": "t2i", "image": "0.jpg", "query": "a dog", "rank": 2, "rank_equal": 1}
    assert [line["rank_equal"] for line in lines] == [1] * 6
