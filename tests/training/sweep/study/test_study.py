"""A study: what it refuses, and a whole one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from imtext.config.instantiate import instantiate
from imtext.errors import ConfigError, ImtextError
from imtext.training.sweep.study.queue import metrics_of
from imtext.training.sweep.study.study import PLACES, Study
from tests.conftest import Compose
from tests.runs import QUICK

SPACE = "sweep.space={optim.lr: {low: 1e-4, high: 1e-1, log: true}, model.dropout: [0, 0.2]}"
OWN = [*QUICK, "stages=frozen", "trainer.max_epochs=2"]


def study_of(config: DictConfig) -> Study:
    study: Study = instantiate(OmegaConf.create(OmegaConf.to_container(config.sweep, resolve=True)))
    return study


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("sweep.name=a/b", "letters, digits"),
        ("sweep.n_trials=0", "n_trials must be at least 1"),
        ("sweep.metric=val/r@1", "val/r@1 is not measured; there are val/t2i_r@1"),
        ("sweep.pruner.n_warmup_steps=-1", "Number of warmup steps"),
    ],
)
def test_mistakes(compose: Compose, setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        study_of(compose("sweep=optuna", SPACE, setting, name="sweep"))


def test_a_study_of_other_settings_is_refused(compose: Compose, tmp_path: Path) -> None:
    study = study_of(compose("sweep=optuna", SPACE, name="sweep"))
    shared: dict[str, Any] = {"space": ["lr"], "overrides": ["optim.weight_decay=0.1", "data.path=here"]}
    study._open(tmp_path, shared)
    study._open(tmp_path, {**shared, "overrides": ["optim.weight_decay=0.1", "data.path=there", "trainer=gpu"]})
    with pytest.raises(ConfigError, match=r"without optim\.weight_decay=0\.1, with optim\.weight_decay=0\.2\. Choose"):
        study._open(tmp_path, {**shared, "overrides": ["optim.weight_decay=0.2"]})
    with pytest.raises(ConfigError, match="without lr, with rate"):
        study._open(tmp_path, {**shared, "space": ["rate"]})
    other = study_of(compose("sweep=optuna", SPACE, "sweep.direction=minimize", name="sweep"))
    with pytest.raises(ConfigError, match="with minimize val/rsum"):
        other._open(tmp_path, shared)


def test_places_are_no_settings() -> None:
    for key in ("paths.root", "logger", "trainer", "trainer.devices", "data.path", "tags.note", "callbacks.progress"):
        assert PLACES.fullmatch(key)
    for key in ("trainer.max_epochs", "data", "data.image_size", "experiment", "pathscape", "callbacks.average.decay"):
        assert not PLACES.fullmatch(key)


def test_there_is_no_study(compose: Compose) -> None:
    config = compose("sweep=optuna", SPACE, "sweep.workers=0", name="sweep")
    with pytest.raises(ConfigError, match="There is no study imtext"):
        study_of(config).run(config, [])


def test_a_study_goes_on(compose: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = [*OWN, "sweep=optuna", SPACE]
    for n_trials in (2, 3):
        config = compose(*own, f"sweep.n_trials={n_trials}", name="sweep")
        done = study_of(config).run(config, OWN)
        assert len(done) == n_trials
        assert all(metrics_of(each)["val/rsum"] >= 0 for each in done)
    assert len({each.params["optim.lr"] for each in done}) == 3
    config = compose("sweep=optuna", SPACE, "sweep.workers=0", name="sweep")
    capsys.readouterr()
    study_of(config).run(config, [])  # only the report; the settings come from the study
    assert "Best: python -m imtext.train data=shapes" in capsys.readouterr().out
    assert (tmp_path / "runs" / "studies" / "imtext" / "report.html").is_file()


def test_missing_trials_are_an_error(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imtext.training.sweep.study.study.run_workers", lambda count, folder: None)
    config = compose(*OWN, "sweep=optuna", SPACE, "sweep.workers=2", name="sweep")
    with pytest.raises(ImtextError, match=r"0 of 50 trials have ended\. Go on with the same command"):
        study_of(config).run(config, OWN)
