"""Interpolation as a program: every share is measured, the best is kept, and its checkpoint works like any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from imtext.errors import ConfigError
from imtext.evaluate import evaluate
from imtext.interpolate import interpolate, task
from imtext.train import train
from tests.conftest import Compose
from tests.models.clip.folders import write_clip
from tests.training.test_pretrained import SHORT


@pytest.mark.slow
def test_the_best_mixture_is_kept(compose: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = write_clip(tmp_path / "clip")
    metrics, _ = train(compose(*SHORT, f"model.name={name}"))
    config = compose(
        f"ckpt_path={tmp_path / 'runs' / 'run'}", "alphas=[0,0.5,1]", "trainer=cpu", name="interpolate", output="mixed"
    )
    measured, path = interpolate(config)
    printed = capsys.readouterr().out
    assert list(measured) == [0, 0.5, 1]
    assert measured[1]["val/rsum"] == pytest.approx(metrics["val/rsum"], abs=1e-5)
    zero_shot, _ = evaluate(
        compose("model=clip", f"model.name={name}", "data=shapes", "data.num_images=60", "data.ratios=[0.5,0.4,0.1]",
                "split=val", "trainer=cpu", name="evaluate", output="zero")
    )  # fmt: skip
    assert measured[0]["val/rsum"] == pytest.approx(zero_shot["val/rsum"], abs=1e-5)
    best = max(measured, key=lambda alpha: measured[alpha]["val/rsum"])
    assert f"{best:g} best" in printed
    again, _ = evaluate(compose(f"ckpt_path={path}", "split=val", "trainer=cpu", name="evaluate", output="again"))
    assert again["val/rsum"] == pytest.approx(measured[best]["val/rsum"], abs=1e-5)
    folder = tmp_path / "runs" / "mixed"
    rows = json.loads((folder / "interpolation.json").read_text())
    assert [row["alpha"] for row in rows] == [0, 0.5, 1]
    assert json.loads((folder / "metrics.json").read_text())["alpha"] == best
    with Image.open(folder / "interpolation.png") as picture:
        assert picture.width > 500
    assert task(config) == measured[best]["val/rsum"]


def test_shares_are_checked_before_anything_is_read(compose: Compose) -> None:
    with pytest.raises(ConfigError, match="alphas takes numbers between 0"):
        interpolate(compose("ckpt_path=best", "alphas=[0,2]", name="interpolate"))
