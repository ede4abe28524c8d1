"""What MLflow knows about a run, and finding it again."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from imtext.errors import ConfigError
from imtext.train import train
from imtext.training.tracking import MLflowTracker, artifact_store, tracked
from tests.conftest import TINY_SHAPES, Compose

RUN = [*TINY_SHAPES, "baseline=true", "callbacks.examples.every_n_epochs=1", "trainer.log_every_n_steps=1"]


def only_run(database: str) -> Run:
    client = MlflowClient(database)
    experiment = client.get_experiment_by_name("imtext")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def test_a_run_is_complete(compose: Compose, database: str, tmp_path: Path) -> None:
    train(compose(*RUN, "trainer.max_epochs=2", "+tags.note=hello", "logger.system_metrics=0.5"))
    client, run = MlflowClient(database), only_run(database)
    assert run.info.status == "FINISHED"
    assert run.data.params["data.batch_size"] == "8"
    assert int(run.data.params["model.text_encoder.vocab_size"]) > 10  # resolved
    assert {"data_fingerprint", "output_dir", "checkpoint"} <= run.data.tags.keys()
    if (Path(__file__).parents[2] / ".git").exists():
        assert len(run.data.tags["git_commit"]) == 40
    assert run.data.tags["note"] == "hello"
    assert Path(run.data.tags["checkpoint"]).is_file()

    steps = {name: len(client.get_metric_history(run.info.run_id, name)) for name in run.data.metrics}
    assert steps["val/t2i_r10"] == 1 + 2 + 1  # before training, two epochs, the best checkpoint
    assert steps["test/rsum"] == 1
    assert steps["train/loss_epoch"] == 2
    assert any(name.startswith("lr-AdamW") for name in steps)
    assert any(name.startswith("system/") for name in steps)

    artifacts = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"config.yaml", "tokenizer.json", "metrics.json", "curves.png", "images"} <= artifacts
    assert {file.path for file in client.list_artifacts(run.info.run_id, "model")} == {
        "model/best.ckpt",
        "model/final.ckpt",
    }
    assert run.info.artifact_uri.startswith((tmp_path / "runs").as_uri())


def test_resume_goes_on_in_the_same_run(compose: Compose, database: str) -> None:
    train(compose(*RUN, "trainer.max_epochs=1"))
    first = only_run(database)
    train(compose(*RUN, "trainer.max_epochs=2", "ckpt_path=last"))
    second = only_run(database)
    assert first.info.run_id == second.info.run_id
    assert second.data.params["trainer.max_epochs"] == "1"  # MLflow never changes a parameter …
    assert second.data.tags["resumed/trainer.max_epochs"] == "2"  # … so the change is a tag
    assert second.data.metrics["epoch"] == 2


def test_a_run_that_is_gone_is_replaced(compose: Compose, database: str, caplog: pytest.LogCaptureFixture) -> None:
    tracker = MLflowTracker("imtext", database, run_id="0" * 32)
    assert "going on in a new one" in caplog.text
    assert tracker.run_id != "0" * 32


@pytest.mark.parametrize("address", ["file:./mlruns", "http://127.0.0.1:9"])
def test_an_unusable_store_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConfigError, match="logger=csv"):
        MLflowTracker("imtext", address)


def test_a_server_keeps_files_where_it_wants() -> None:
    assert artifact_store("http://server:5000", "/home/me/runs/mlflow-artifacts") is None
    assert artifact_store("http://server:5000", "s3://bucket/imtext") == "s3://bucket/imtext"
    assert artifact_store("sqlite:////home/me/runs/mlflow.db", "/home/me/files") == "file:///home/me/files"


def test_a_deleted_experiment_is_named(database: str) -> None:
    client = MlflowClient(database)
    client.delete_experiment(client.create_experiment("imtext"))
    with pytest.raises(ConfigError, match="mlflow experiments restore"):
        MLflowTracker("imtext", database)


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_status_tells_how_it_ended(database: str, error: type[BaseException], status: str) -> None:
    tracker = MLflowTracker("imtext", database, system_metrics=0)

    def fail() -> None:
        with tracked([tracker], {}):
            assert only_run(database).info.status == "RUNNING"
            raise error

    with pytest.raises(error):
        fail()
    assert only_run(database).info.status == status


def test_names_that_mlflow_refuses(database: str, recwarn: pytest.WarningsRecorder) -> None:
    tracker = MLflowTracker("imtext", database, system_metrics=0)
    tracker.log_metrics({"val/t2i_r@10": 0.5}, step=3)
    assert only_run(database).data.metrics == {"val/t2i_r10": 0.5}
    assert not [warning for warning in recwarn if "special characters" in str(warning.message)]
