"""From scores to probabilities, with given weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from imtext.search.calibration import PRIOR_PICTURES, Calibration, sigmoid

CALIBRATION = Calibration(2.0, 10.0, -1.0, 0.1, 0.5, 0.5, 0.0, [[0.1, 0.2, 3.0]])


def test_relevance_is_logistic_in_score_and_margin() -> None:
    scores = np.array([[0.2, 0.4]])
    usual = (0.3 * 80 + 0.1 * PRIOR_PICTURES) / (80 + PRIOR_PICTURES)
    expected = 1 / (1 + np.exp(-(2 * scores + 10 * (scores - usual) - 1)))
    np.testing.assert_allclose(CALIBRATION.relevance(scores, 0.3, 80), expected)


def test_a_single_picture_does_not_count_as_usual() -> None:
    """A single excellent picture equals its mean score, and must still have a high relevance."""
    only_margin = replace(CALIBRATION, score_weight=0.0, bias=0.0)
    assert float(only_margin.relevance(np.array(0.9), 0.9, 1)) > 0.95


def test_round_trip() -> None:
    assert Calibration(**CALIBRATION.to_dict()) == CALIBRATION


def test_sigmoid_does_not_overflow() -> None:
    with np.errstate(all="raise"):
        np.testing.assert_allclose(sigmoid(np.array([-1e4, 0, 1e4])), [0, 0.5, 1])
    assert float(sigmoid(np.array(1.0))) == pytest.approx(1 / (1 + np.exp(-1)))
