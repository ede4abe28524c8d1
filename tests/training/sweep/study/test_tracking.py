"""A study in MLflow."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from omegaconf import DictConfig
from optuna.trial import FrozenTrial, TrialState

from imtext.training.sweep.study.queue import CHOSEN, ERROR, METRICS
from imtext.training.sweep.study.tracking import track
from tests.conftest import Compose
from tests.training.sweep.study.studies import open_queue, suggest


def runs_of(database: str) -> tuple[Run, list[Run]]:
    runs = MlflowClient(database).search_runs(["1"])
    (parent,) = [run for run in runs if "trial" not in run.data.tags]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) + 1 == len(runs)
    return parent, sorted(children, key=lambda run: int(run.data.tags["trial"]))


def test_a_run_for_each_trial(compose: Compose, database: str, tmp_path: Path) -> None:
    study, queue = open_queue(f"sqlite:///{tmp_path}/study.db", tmp_path, 3)
    config = compose("data=shapes", "experiment_name=searched")

    def config_of(trial: FrozenTrial) -> DictConfig:
        return compose("data=shapes", "experiment_name=searched", *trial.user_attrs[CHOSEN])

    def record() -> None:
        track(study, config, config_of, "val/rsum", 3)

    record()
    parent, children = runs_of(database)
    assert (parent.info.status, parent.info.run_name, children) == ("RUNNING", "drawn", [])
    for state, value, notes in (
        (TrialState.COMPLETE, 2.5, {METRICS: {"val/rsum": 2.5, "seconds": 60.0}}),
        (TrialState.FAIL, None, {ERROR: "out of memory"}),
    ):
        taken = queue.take(suggest)
        assert taken is not None
        queue.end(taken[0], state, value, **notes, **{CHOSEN: [f"optim.lr={1 + taken[1]}"]})
        record()
        record()  # changes nothing
    # A worker that is killed while it records leaves a run that still runs: it is recorded again.
    client = MlflowClient(database)
    client.update_run(runs_of(database)[1][0].info.run_id, "RUNNING")
    taken = queue.take(suggest)
    assert taken is not None
    queue.end(taken[0], TrialState.PRUNED, None, **{METRICS: {"val/rsum": 0.5}, CHOSEN: []})
    record()
    parent, children = runs_of(database)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["1_val/rsum"] == 2.5
    assert parent.data.tags["best_trial"] == "0"
    assert [run.info.status for run in children] == ["FINISHED", "FAILED", "FINISHED"]
    assert children[0].data.metrics == {"1_val/rsum": 2.5, "seconds": 60, "minutes": 1}
    assert float(children[0].data.params["optim.lr"]) > 1
    assert children[1].data.tags["error"] == "out of memory"
    assert [run.data.tags.get("pruned") for run in children] == ["false", None, "true"]


def test_other_loggers_record_nothing(compose: Compose, tmp_path: Path) -> None:
    study, _ = open_queue(f"sqlite:///{tmp_path}/study.db", tmp_path, 1)
    track(study, compose("logger=none"), lambda trial: compose(), "val/rsum", 1)
    assert study.user_attrs == {}
