"""Trials in MLflow."""

from __future__ import annotations

from mlflow import MlflowClient

from imtext.config.trials import Trial
from imtext.training.sweep.record import record
from tests.conftest import Compose

METRICS = {"val/t2i_r@10": 0.5, "train/loss": 1.5, "seconds": 30.0}


def test_a_run_for_each_trial(compose: Compose, database: str) -> None:
    config = compose("data=shapes", "experiment_name=compared", "seed=4", "+tags.note=first")
    record(Trial("loss=siglip", 4, (), config), METRICS, "evening")
    client = MlflowClient(database)
    experiment = client.get_experiment_by_name("compared")
    (run,) = client.search_runs([experiment.experiment_id], "tags.sweep = 'evening'")
    assert run.info.status == "FINISHED"
    assert {name: run.data.tags[name] for name in ("trial", "note")} == {"trial": "loss=siglip", "note": "first"}
    assert run.data.metrics == {"1_val/t2i_r10": 0.5, "2_train/loss": 1.5, "seconds": 30, "minutes": 0.5}
    assert run.data.params["seed"] == "4"


def test_other_loggers_record_nothing(compose: Compose) -> None:
    record(Trial("", 1, (), compose("logger=none")), METRICS, "evening")
    record(Trial("", 1, (), compose("logger=csv")), METRICS, "evening")
