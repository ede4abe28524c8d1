"""Recalls and calibrations of what a bundle made of pictures and captions."""

from __future__ import annotations

import numpy as np
import pytest

from imtext.data import RetrievalDataModule
from imtext.evaluation.bundle_scores import BundleScores, validation_pairs
from imtext.search import Bundle, Encoder
from imtext.training.checkpoints import TrainedModel

Untrained = tuple[TrainedModel, RetrievalDataModule]


def scores(encoder: Encoder, pictures: int, wrong: int) -> BundleScores:
    """Two captions of each picture; those of the first `wrong` pictures describe the last picture."""
    images = np.eye(pictures, encoder.bundle.embed_dim, dtype=np.float32)
    described = np.repeat(np.arange(pictures), 2)
    described[: 2 * wrong] = pictures - 1
    return BundleScores(encoder, [""] * 2 * pictures, images, images[described], None)


def test_metrics_count_the_own_picture(encoder: Encoder) -> None:
    metrics = scores(encoder, 20, wrong=5).metrics(np.repeat(np.arange(20), 2))
    assert metrics["t2i_r@1"] == pytest.approx(15 / 20)
    assert metrics["i2t_r@1"] == pytest.approx(14 / 20), (
        "twelve captions describe the last picture, and ties count against"
    )
    assert (metrics["num_images"], metrics["num_captions"]) == (20, 40)


def test_too_few_pictures_to_calibrate(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="19 validation pictures are too few"):
        scores(encoder, 19, wrong=0).calibrations(np.repeat(np.arange(19), 2))


def test_a_re_ranker_is_calibrated_by_its_own_scores(
    reranked: tuple[TrainedModel, Bundle], untrained: Untrained
) -> None:
    pixels, captions, answers = validation_pairs(untrained[1])
    found = BundleScores.of(reranked[1], pixels, captions)
    assert found.scores.shape == (len(captions), len(pixels))
    calibration, of_reranker = found.calibrations(answers)
    assert of_reranker is not None
    assert of_reranker != calibration
