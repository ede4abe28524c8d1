"""Relevance says what it promises: how often a picture with such scores is the right one."""

from __future__ import annotations

import numpy as np
import pytest

from imtext.search.calibration import Calibration, calibrate


def made_up(separation: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores of 200 pictures and 400 texts; the matching ones are higher by `separation` standard deviations."""
    rng = np.random.default_rng(seed)
    answers = np.arange(400) // 2
    scores = rng.normal(0.1, 0.1, (400, 200))
    scores += rng.normal(0, 0.05, (400, 1))  # vague texts lie close to everything
    scores[np.arange(400), answers] += 0.1 * separation
    return scores, answers


def test_calibrated() -> None:
    one = calibrate(*made_up(3))
    assert one.error < 0.03
    for predicted, observed, count in one.reliability:
        if count > 100:
            assert predicted == pytest.approx(observed, abs=0.1)


def test_no_good_match() -> None:
    clear, unclear = calibrate(*made_up(6)), calibrate(*made_up(0.5))
    assert clear.refused > 0.9
    assert unclear.refused < 0.4
    best = clear.relevance(np.array([0.8, 0.1]), 0.1, 100)
    assert best[0] > clear.min_relevance > 0.5 > best[1]


def test_relevance_counts_from_what_is_usual() -> None:
    one = calibrate(*made_up(3))
    specific, vague = (float(one.relevance(np.array(0.4), usual, 1000)) for usual in (0.1, 0.35))
    assert specific > vague


def test_a_handful_of_pictures_is_not_usual() -> None:
    """One excellent picture alone is its own mean; it must not look ordinary for that."""
    one = Calibration(0.0, 10.0, 0.0, 0.1, 0.5, 0.5, 0.0, [])
    assert float(one.relevance(np.array(0.9), 0.9, 1)) > 0.95


def test_same_seed_same_result() -> None:
    assert calibrate(*made_up(2)) == calibrate(*made_up(2))


def test_too_few() -> None:
    with pytest.raises(ValueError, match="takes 20"):
        calibrate(np.zeros((5, 5)), np.arange(5))
