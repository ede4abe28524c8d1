"""A version becomes the champion unless the champion finds more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imtext import promote as promoting
from imtext.errors import CheckpointError, ConfigError
from imtext.promote import promote
from imtext.search import Bundle, load_bundle
from imtext.train import train
from imtext.training.registry import find_version, register, set_alias
from tests.cli.conftest import imtext
from tests.conftest import TINY_SHAPES, Compose


@pytest.fixture
def store(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The store that commands use by default."""
    monkeypatch.setenv("IMTEXT_ROOT", str(tmp_path))
    return database


def found(t2i: float, i2t: float, pictures: int = 400) -> dict[str, np.ndarray]:
    """Pictures of which these shares have right answers, spread evenly."""
    return {
        name: (np.floor(np.arange(1, pictures + 1) * share) > np.floor(np.arange(pictures) * share)).astype(float)
        for name, share in (("t2i", t2i), ("i2t", i2t))
    }


@pytest.fixture
def measured(bundle: Bundle, store: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, np.ndarray]]:
    """Three versions, and what they find."""
    for _ in range(3):
        register(bundle, "imtext", None)
    results = {"1": found(0.6, 0.7), "2": found(0.5, 0.6), "3": found(0.7, 0.75)}
    monkeypatch.setattr(promoting, "_found", lambda version, config: results[version.number])
    return results


def test_the_better_one_wins(measured: dict[str, dict[str, np.ndarray]]) -> None:
    done = promote("1", "imtext")
    assert (done.champion, done.difference) == (None, None)
    with pytest.raises(ConfigError, match=r"models:/imtext/2 finds less than models:/imtext/1: R@10 -10\.0.* --force"):
        promote("2", "imtext")
    assert find_version("imtext", "champion").number == "1"
    done = promote("3", "imtext")
    assert done.recalls == {"t2i": pytest.approx((70, 60)), "i2t": pytest.approx((75, 70))}
    assert done.difference is not None
    assert done.difference.mean == pytest.approx(7.5)
    assert find_version("imtext", "champion").number == "3"
    assert promote("2", "imtext", force=True).challenger == find_version("imtext", "champion")
    measured["1"] = found(0.5, 0.6, pictures=100)
    with pytest.raises(ConfigError, match="other validation pictures"):
        promote("1", "imtext")


def test_a_small_loss_may_be_chance(measured: dict[str, dict[str, np.ndarray]]) -> None:
    promote("1", "imtext")
    measured["2"] = {"t2i": measured["1"]["t2i"], "i2t": measured["1"]["i2t"].copy()}
    measured["2"]["i2t"][5] = 0 if measured["2"]["i2t"][5] else 1
    if measured["2"]["i2t"][5]:
        measured["1"], measured["2"] = measured["2"], measured["1"]
    with pytest.raises(ConfigError, match="which may be chance"):
        promote("2", "imtext")
    measured["2"] = measured["1"]
    assert promote("2", "imtext").difference is not None, "equal is good enough"


def test_a_version_whose_checkpoint_is_gone(bundle: Bundle, store: str) -> None:
    set_alias(register(bundle, "imtext", None), "champion")
    register(bundle, "imtext", None)
    with pytest.raises(CheckpointError, match=r"which is gone.*--force"):
        promote("2", "imtext")


@pytest.mark.slow
def test_both_are_measured_on_validation(compose: Compose, store: str, tmp_path: Path) -> None:
    options = [option for option in TINY_SHAPES if option != "bundle=false"]
    options += ["data.num_images=60", "data.ratios=[0.5,0.5,0]", "baseline=false", "registered_model=imtext"]
    train(compose(*options, "trainer.max_epochs=1", output="first"))
    train(compose(*options, "trainer.max_epochs=8", "optim.lr=3e-3", output="second"))
    assert imtext("promote", "1", IMTEXT_ROOT=str(tmp_path)).stdout == "models:/imtext@champion is version 1\n"
    done = imtext("promote", "2", IMTEXT_ROOT=str(tmp_path))
    if done.returncode:  # a processor that rounds otherwise trains a worse second model
        assert "finds less" in done.stderr
        return
    rows = {line.split()[1]: [float(each) for each in line.split()[2:]] for line in done.stdout.splitlines()[1:3]}
    for number, name in (("1", "first"), ("2", "second")):
        metrics = load_bundle(tmp_path / "runs" / name).manifest["metrics"]
        expected = [100 * metrics["val/t2i_r@10"], 100 * metrics["val/i2t_r@10"]]
        assert rows[number] == pytest.approx(expected, abs=4), "a caption or a picture of thirty may be tied"
    assert "champion is version 2" in done.stdout
