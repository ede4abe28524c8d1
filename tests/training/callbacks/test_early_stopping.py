"""Early stopping over a resume."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from imtext.training.callbacks import StopEarly


@pytest.mark.parametrize(("patience", "stops"), [(1, True), (9, False)])
def test_a_resumed_run_stays_stopped_unless_it_has_more_patience(patience: int, stops: bool) -> None:
    before = StopEarly(monitor="val/rsum", patience=1, mode="max")
    before.wait_count = 1
    after = StopEarly(monitor="val/rsum", patience=patience, mode="max")
    after.load_state_dict(before.state_dict())
    trainer = cast(Any, SimpleNamespace(should_stop=False))
    after.on_train_start(trainer, cast(Any, None))
    assert trainer.should_stop == stops
