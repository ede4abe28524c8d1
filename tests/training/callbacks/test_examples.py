"""Retrieval examples of a validation split."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from PIL import Image

from imtext.errors import ConfigError
from imtext.evaluation.metrics import RetrievalMetrics
from imtext.training.callbacks import RetrievalExamples


def test_rows_show_results_by_score_with_the_rank() -> None:
    metrics = RetrievalMetrics()
    images = torch.eye(3)
    texts = images[[0, 1, 1]]  # the caption of image 2 looks like image 1
    metrics.update(images, texts, torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2]))
    pictures = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in range(3)]
    data = cast(Any, SimpleNamespace(captions=[["zero"], ["one"], ["two"]], picture=pictures.__getitem__))
    rows = RetrievalExamples("unused", num_queries=3, top_k=2).rows(
        cast(Any, SimpleNamespace(val_metrics=metrics)), data
    )
    assert [(row.query, row.rank) for row in rows["text_to_image"]] == [("zero", 1), ("one", 1), ("two", 3)]
    assert rows["text_to_image"][2].results[0] == (pictures[1], False)
    assert rows["image_to_text"][0].query is pictures[0]
    assert rows["image_to_text"][0].results[0] == ("zero", True)
    assert {len(row.results) for row in rows["image_to_text"]} == {2}


def test_interval_is_at_least_one() -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.examples=null"):
        RetrievalExamples("unused", every_n_epochs=0)
