"""The preparation and the end of a sweep."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from omegaconf import DictConfig, OmegaConf

from imtext.training.sweep.multirun import PrepareSweep
from imtext.training.tracking import MLflowTracker


class OwnTracker(MLflowTracker):
    """A subclass shares the store, so it is prepared as well."""


def config(target: str | None, database: str) -> DictConfig:
    logger = {"_target_": target, "experiment_name": "swept", "tracking_uri": database, "artifact_location": None}
    return OmegaConf.create({"logger": logger if target else None, "hydra": {"sweep": {"dir": "/runs/sweeps/S"}}})


@pytest.mark.parametrize(
    ("target", "prepared"),
    [
        ("imtext.training.tracking.MLflowTracker", True),
        ("tests.training.sweep.test_multirun.OwnTracker", True),
        ("lightning.pytorch.loggers.CSVLogger", False),
        (None, False),
    ],
)
def test_the_experiment_exists_before_the_first_trial(
    database: str, target: str | None, prepared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "tests")
    PrepareSweep().on_multirun_start(config(target, database))
    assert (MlflowClient(database).get_experiment_by_name("swept") is not None) == prepared


def test_the_end_says_where_the_results_are(capsys: pytest.CaptureFixture[str]) -> None:
    PrepareSweep().on_multirun_end(config(None, ""))
    assert "tags.sweep = 'S'" in capsys.readouterr().out
