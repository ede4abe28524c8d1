"""A fitted relevance is the probability that a picture with this score is correct."""

from __future__ import annotations

import numpy as np
import pytest

from imtext.evaluation.calibration import fit_calibration


def made_up(separation: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores of 200 pictures and 400 texts; the matching ones are higher by `separation` standard deviations."""
    rng = np.random.default_rng(seed)
    answers = np.arange(400) // 2
    scores = rng.normal(0.1, 0.1, (400, 200))
    scores += rng.normal(0, 0.05, (400, 1))  # vague texts are similar to everything
    scores[np.arange(400), answers] += 0.1 * separation
    return scores, answers


def test_predicted_equals_observed() -> None:
    calibration = fit_calibration(*made_up(3))
    assert calibration.error < 0.03
    for predicted, observed, count in calibration.reliability:
        if count > 100:
            assert predicted == pytest.approx(observed, abs=0.1)
    assert sum(count for *_, count in calibration.reliability) == pytest.approx(2000, abs=200)


def test_queries_without_an_answer_are_refused() -> None:
    clear, unclear = fit_calibration(*made_up(6)), fit_calibration(*made_up(0.5))
    assert clear.refused > 0.9
    assert unclear.refused < 0.4
    best = clear.relevance(np.array([0.8, 0.1]), 0.1, 100)
    assert best[0] > clear.min_relevance > 0.5 > best[1]


def test_a_vague_text_needs_a_higher_score() -> None:
    calibration = fit_calibration(*made_up(3))
    specific, vague = (float(calibration.relevance(np.array(0.4), usual, 1000)) for usual in (0.1, 0.35))
    assert specific > vague


def test_same_seed_same_result() -> None:
    assert fit_calibration(*made_up(2)) == fit_calibration(*made_up(2))
    assert fit_calibration(*made_up(2)) != fit_calibration(*made_up(2), seed=1)


def test_too_few_pictures() -> None:
    with pytest.raises(ValueError, match=r"5 validation pictures are too few.*20 are needed"):
        fit_calibration(np.zeros((5, 5)), np.arange(5))


def test_the_scores_of_a_reranker_are_fitted_instead() -> None:
    scores, answers = made_up(1)
    seen: list[int] = []

    def knows(text: int, pictures: np.ndarray) -> np.ndarray:
        seen.append(len(pictures))
        assert scores[text, pictures].tolist() == sorted(scores[text, pictures], reverse=True), "the best first"
        return np.asarray(scores[text, pictures] + (pictures == answers[text]))

    plain, again = fit_calibration(scores, answers), fit_calibration(scores, answers, rerank=knows, depth=100)
    assert set(seen) == {100}
    assert again.usual_score == plain.usual_score
    assert again.refused > 0.95 > 0.5 > plain.refused
    unchanged = fit_calibration(scores, answers, rerank=lambda text, pictures: scores[text, pictures], depth=50)
    assert unchanged == plain
