"""Retrieval metrics: added images and captions, and the results."""

from __future__ import annotations

import pytest
import torch

from imtext.evaluation.definitions import metric_names
from imtext.evaluation.metrics import RetrievalMetrics
from tests.evaluation.galleries import hand_written, random_gallery


def test_metrics_have_their_names_and_order() -> None:
    metrics = RetrievalMetrics()
    metrics.update(*hand_written())
    assert list(metrics.compute()) == metric_names()
    assert metrics.compute()["i2t_r@1"] == 0.5


def test_intervals_have_two_ends() -> None:
    metrics = RetrievalMetrics()
    metrics.update(*random_gallery(1))
    intervals, figures = metrics.intervals(), metrics.compute()
    names = [f"{direction}_{name}" for direction in ("t2i", "i2t") for name in ("r@1", "r@5", "r@10", "mrr")]
    assert sorted(intervals) == sorted(f"{name}_{end}" for name in names for end in ("low", "high"))
    for name in names:
        assert intervals[f"{name}_low"] <= figures[name] <= intervals[f"{name}_high"]


def test_batches_do_not_matter() -> None:
    images, texts, image_id, owner = random_gallery(3)
    whole, parts = RetrievalMetrics(), RetrievalMetrics()
    whole.update(images, texts, image_id, owner)
    for start in range(0, len(images), 7):
        rows = slice(start, start + 7)
        mine = torch.isin(owner, image_id[rows])
        parts.update(images[rows], texts[mine], image_id[rows], owner[mine])
    assert parts.compute() == pytest.approx(whole.compute(), abs=1e-5)


def test_repeated_images_count_once() -> None:
    images, texts, image_id, owner = random_gallery(4)
    once, padded = RetrievalMetrics(), RetrievalMetrics()
    for metric in (once, padded):
        metric.update(images, texts, image_id, owner)
    again = owner == image_id[0]  # a sampler that pads its last batch
    padded.update(images[:1], texts[again], image_id[:1], owner[again])
    assert padded.compute() == pytest.approx(once.compute())
