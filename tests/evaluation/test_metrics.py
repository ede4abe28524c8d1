"""Retrieval metrics: added images and captions, and the results."""

from __future__ import annotations

import pytest
import torch

from imtext.evaluation.definitions import RANK_METRICS, metric_names
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


TEXTS = torch.tensor([4, -1, 4, -1, -1, 0, 0, -1])  # see the test of the ranks


def test_equal_captions_are_counted_a_second_time() -> None:
    plain, equal = RetrievalMetrics(), RetrievalMetrics()
    plain.update(*hand_written())
    equal.update(*hand_written(), TEXTS)
    values = equal.compute()
    assert {name: values[name] for name in metric_names()} == plain.compute()
    added = {f"{direction}_{name}_equal" for direction in ("t2i", "i2t") for name in RANK_METRICS} | {"rsum_equal"}
    assert values.keys() - plain.compute().keys() == added
    assert values["i2t_r@1_equal"] == 0.5
    assert values["i2t_r@5_equal"] == 1
    assert values["t2i_mrr_equal"] == pytest.approx((3 * 1 + 1 / 2 + 4 / 4) / 8)
    ends = equal.intervals()
    assert {name for name in ends if "equal" in name} == {
        f"{direction}_{name}_equal_{end}"
        for direction in ("t2i", "i2t") for name in ("r@1", "r@5", "r@10", "mrr") for end in ("low", "high")
    }  # fmt: skip
    assert {name: value for name, value in ends.items() if "equal" not in name} == plain.intervals()
    assert ends["i2t_mrr_equal_low"] < values["i2t_mrr_equal"] < ends["i2t_mrr_equal_high"]


def test_texts_follow_their_captions() -> None:
    """Over batches in another order, with an image that was added twice."""
    images, texts, image_id, owner = hand_written()
    whole, parts = RetrievalMetrics(), RetrievalMetrics()
    whole.update(images, texts, image_id, owner, TEXTS)
    for rows in ([3, 1], [0, 2], [1]):
        captions = [n for row in rows for n in (2 * row, 2 * row + 1)]
        parts.update(images[rows], texts[captions], image_id[rows], owner[captions], TEXTS[captions])
    assert parts.compute() == pytest.approx(whole.compute())
