"""The time to reach the recall of the plain loop."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from imtext.benchmark.__main__ import main
from imtext.benchmark.reach import _Watch
from tests.benchmark.test_training import SHAPES


def test_the_watch_stops_at_the_recall_and_keeps_its_first_time() -> None:
    watch = _Watch(wanted=0.5)
    trainer = cast(Any, SimpleNamespace(callback_metrics={}, current_epoch=0, should_stop=False))
    for recall in (0.4, 0.6, 0.9):
        trainer.callback_metrics["val/t2i_r@10"] = recall
        watch.on_validation_start(trainer, None)
        watch.on_validation_end(trainer, None)
        assert trainer.should_stop == (recall > 0.5)
    assert watch.recall == 0.6
    assert not math.isnan(watch.seconds)


@pytest.mark.slow
def test_both_are_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "speed.json"
    recipe = ["optim.lr=3e-3", "trainer.max_epochs=20", "stages=whole"]
    command = ["benchmark", "train", *SHAPES, *recipe, "--steps", "1", "--reach", "1", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", command)
    main()
    found = json.loads(file.read_text())
    assert found["plain_seconds"] > 0
    assert found["recipe_seconds"] > 0
    assert found["recipe_r@10"] >= found["plain_r@10"] > 0
    assert "plain loop" in capsys.readouterr().out
