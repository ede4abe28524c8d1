"""The stopwatch of training steps."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch

from imtext.benchmark import stages
from imtext.benchmark.stages import WARM_UP, Stopwatch


def test_steps_after_the_warm_up_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(stages, "now", lambda: float(next(clock)))
    watch = Stopwatch()
    batch = cast(Any, {"image": torch.zeros(4, 3), "input_ids": torch.zeros(20, 5)})
    for number in range(WARM_UP + 3):
        watch.on_train_batch_start(None, None, batch, number)
        watch.on_train_batch_end(None, None, None, batch, number)
    assert (watch.images, watch.captions) == (2 * 4, 2 * 20)
    assert (watch.waited, watch.worked) == (2.0, 2.0)
