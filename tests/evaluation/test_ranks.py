"""One line of JSON per query."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from imtext.evaluation.metrics import RetrievalMetrics
from imtext.evaluation.ranks import write_ranks


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
