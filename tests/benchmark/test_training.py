"""The benchmark of training returns all measurements. Their values are not tested."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from imtext.benchmark.__main__ import main
from tests.conftest import TINY_SHAPES

SHAPES = [*TINY_SHAPES, "data.num_images=450", "logger=none", "paths.root=."]


@pytest.mark.slow
def test_every_stage_is_compared_with_a_plain_loop(
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
