"""Runs with few steps are told which settings give them enough."""

from __future__ import annotations

import pytest

from imtext.training.steps import ENOUGH, enough_steps, warn_about_few_steps


@pytest.mark.parametrize(
    ("images", "batch_size", "expected"),
    [
        (72, 32, (16, 25)),
        (120, 32, (16, 15)),
        (400, 32, (32, 9)),
        (10, 32, (8, 100)),
        (5, 4, (4, 100)),
        (300, 512, (64, 25)),
    ],
)
def test_settings_that_make_enough_steps(images: int, batch_size: int, expected: tuple[int, int]) -> None:
    assert enough_steps(images, batch_size) == expected
    assert max(1, images // expected[0]) * expected[1] >= ENOUGH


def test_the_warning_names_what_to_change(caplog: pytest.LogCaptureFixture) -> None:
    warn_about_few_steps(72, 32, 10)
    assert caplog.messages == [
        "This run has only 20 steps, 2 in each epoch, and will learn little. Add data.batch_size=16 "
        "trainer.max_epochs=25, which make 100 steps"
    ]
    caplog.clear()
    warn_about_few_steps(400, 32, 3)
    assert "Add trainer.max_epochs=9, which make 108 steps" in caplog.text
    caplog.clear()
    warn_about_few_steps(72, 16, 25)
    assert not caplog.records
