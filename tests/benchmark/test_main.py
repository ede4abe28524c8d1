"""The benchmark measures what it says; how fast that is here is not a test's business."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from imtext.benchmark.__main__ import main
from tests.conftest import TINY_SHAPES

SHAPES = [*TINY_SHAPES, "data.num_images=450", "logger=none", "paths.root=."]


def test_every_stage_beside_a_plain_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "speed.json"
    stages = ["stages=gradual", "stages.top.views=2", "stages.heads.views=2"]
    monkeypatch.setattr(sys, "argv", ["benchmark", "train", *SHAPES, *stages, "--steps", "2", "--json", str(file)])
    main()
    found = json.loads(file.read_text())
    assert [speed["what"] for speed in found["stages"]] == ["heads: features", "heads", "top: features", "top", "whole"]
    for speed in (*found["stages"], found["plain"]):
        assert speed["images"] > 0
        assert 0 <= speed["waiting"] < 1
        assert speed["memory"] > 10e6
    assert found["plain"]["captions"] == found["plain"]["images"]  # one of each
    slowest = min(speed["captions"] for speed in found["stages"] if speed["captions"])
    assert found["ratio"] == pytest.approx(slowest / found["plain"]["captions"])
    assert "plain loop" in capsys.readouterr().out


def test_time_to_the_same_recall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "speed.json"
    recipe = ["optim.lr=3e-3", "trainer.max_epochs=20", "stages=whole"]
    monkeypatch.setattr(
        sys, "argv", ["benchmark", "train", *SHAPES, *recipe, "--steps", "1", "--reach", "1", "--json", str(file)]
    )
    main()
    found = json.loads(file.read_text())
    assert found["plain_seconds"] > 0
    assert found["recipe_seconds"] > 0
    assert found["recipe_r@10"] >= found["plain_r@10"] > 0
    assert "plain loop" in capsys.readouterr().out


def test_a_mistake_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", "train", "trainer.max_epoch=3"])
    with pytest.raises(SystemExit, match=r"error: .*trainer\.max_epochs"):
        main()
