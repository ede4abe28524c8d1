"""Databases and experiments of MLflow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from imtext.errors import ConfigError
from imtext.training.mlflow_store import KIND, MODEL_TRAINING, artifact_store, prepare_store, run_exists


def kind_of(database: str, experiment: str) -> str | None:
    found = MlflowClient(database).get_experiment_by_name(experiment)
    assert found is not None
    kind: str | None = found.tags.get(KIND)
    return kind


def test_new_and_existing_experiments_are_marked_as_model_training(database: str) -> None:
    MlflowClient(database).create_experiment("old")
    for experiment in ("new", "old"):
        prepare_store(database, experiment, None)
        assert kind_of(database, experiment) == MODEL_TRAINING


def test_a_mark_that_a_person_has_chosen_stays(database: str) -> None:
    MlflowClient(database).create_experiment("mine", tags={KIND: "regression"})
    prepare_store(database, "mine", None)
    assert kind_of(database, "mine") == "regression"


def test_the_database_is_created_with_its_folder(tmp_path: Path) -> None:
    prepare_store(f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}", "imtext", None)
    assert (tmp_path / "new" / "mlflow.db").is_file()


@pytest.mark.slow
def test_runs_that_begin_together_share_a_new_database(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'mlflow.db'}"
    code = f"from imtext.training.mlflow_store import prepare_store; prepare_store({database!r}, 'imtext', None)"
    command = [sys.executable, "-c", code]
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [run.communicate(timeout=300)[1][-2000:] for run in runs if run.wait(timeout=300)] == []


@pytest.mark.parametrize("address", ["file:./mlruns", "http://127.0.0.1:9"])
def test_an_unusable_store_is_named_with_a_way_out(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConfigError, match=rf"{address}.*logger=csv"):
        prepare_store(address, "imtext", None)


def test_a_deleted_experiment_is_named_with_a_way_out(database: str) -> None:
    client = MlflowClient(database)
    client.delete_experiment(client.create_experiment("imtext"))
    with pytest.raises(ConfigError, match="mlflow experiments restore"):
        prepare_store(database, "imtext", None)


def test_a_server_chooses_where_files_go() -> None:
    assert artifact_store("http://server:5000", "/home/me/runs/mlflow-artifacts") is None
    assert artifact_store("http://server:5000", "s3://bucket/imtext") == "s3://bucket/imtext"
    assert artifact_store("sqlite:////home/me/runs/mlflow.db", "/home/me/files") == "file:///home/me/files"
    assert artifact_store("sqlite:////home/me/runs/mlflow.db", None) is None


def test_only_active_runs_exist(database: str) -> None:
    client = MlflowClient(database)
    run_id = client.create_run(client.create_experiment("imtext")).info.run_id
    assert run_exists(database, run_id)
    client.delete_run(run_id)
    assert not run_exists(database, run_id)
    assert not run_exists(database, "0" * 32)
