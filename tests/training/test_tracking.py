"""The record of a run in MLflow."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from imtext.train import train
from imtext.training.tracking import MLflowTracker, metric_name, source_tags, tracked
from tests.conftest import TINY_SHAPES, Compose

RUN = [*TINY_SHAPES, "baseline=true", "callbacks.examples.every_n_epochs=1", "trainer.log_every_n_steps=1"]


def only_run(database: str) -> Run:
    client = MlflowClient(database)
    experiment = client.get_experiment_by_name("imtext")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return run


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("val/t2i_r@10", "1_val/t2i_r10"),
        ("train/loss_step", "2_train/loss_step"),
        ("test/rsum", "3_test/rsum"),
        ("lr/projection", "4_lr/projection"),
        ("minutes", "minutes"),
        ("system/cpu", "system/cpu"),
    ],
)
def test_names_put_validation_first(name: str, shown: str) -> None:
    assert metric_name(name) == shown


def test_a_run_is_complete(compose: Compose, database: str, tmp_path: Path) -> None:
    train(compose(*RUN, "trainer.max_epochs=2", "+tags.note=hello", "logger.system_metrics=0.5"))
    client, run = MlflowClient(database), only_run(database)
    assert run.info.status == "FINISHED"
    assert run.data.params["data.batch_size"] == "8"
    assert {"data_fingerprint", "output_dir", "checkpoint", "command"} <= run.data.tags.keys()
    assert run.data.tags["note"] == "hello"
    assert Path(run.data.tags["checkpoint"]).is_file()

    steps = {name: len(client.get_metric_history(run.info.run_id, name)) for name in run.data.metrics}
    assert steps["1_val/t2i_r10"] == 1 + 2 + 1  # before training, two epochs, the best checkpoint
    assert steps["3_test/rsum"] == 1
    assert steps["2_train/loss_epoch"] == 2
    assert {name for name in steps if "lr" in name} == {f"4_lr/{part}" for part in
                                                        ("image_encoder", "text_encoder", "projection")}  # fmt: skip
    assert any(name.startswith("system/") for name in steps)

    artifacts = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"config.yaml", "tokenizer.json", "metrics.json", "curves.png", "images"} <= artifacts
    models = {file.path for file in client.list_artifacts(run.info.run_id, "model")}
    assert models == {"model/best.ckpt", "model/final.ckpt"}
    assert run.info.artifact_uri.startswith((tmp_path / "runs").as_uri())


def test_a_resume_continues_the_same_run(compose: Compose, database: str) -> None:
    train(compose(*RUN, "trainer.max_epochs=1"))
    first = only_run(database)
    train(compose(*RUN, "trainer.max_epochs=2", "ckpt_path=last"))
    second = only_run(database)
    assert first.info.run_id == second.info.run_id
    assert second.data.params["trainer.max_epochs"] == "1"  # MLflow never changes a parameter …
    assert second.data.tags["resumed/trainer.max_epochs"] == "2"  # … so the change is a tag
    assert second.data.metrics["epoch"] == 2


def test_a_deleted_run_is_replaced(database: str, caplog: pytest.LogCaptureFixture) -> None:
    tracker = MLflowTracker("imtext", database, run_id="0" * 32)
    assert "a new run continues it" in caplog.text
    assert tracker.run_id != "0" * 32


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_the_status_shows_how_a_run_ended(database: str, error: type[BaseException], status: str) -> None:
    tracker = MLflowTracker("imtext", database, system_metrics=0)

    def fail() -> None:
        with tracked([tracker], {"data_source": "shapes"}) as trackers:
            assert trackers == [tracker]
            assert only_run(database).info.status == "RUNNING"
            raise error

    with pytest.raises(error):
        fail()
    run = only_run(database)
    assert run.info.status == status
    assert {**source_tags(), "data_source": "shapes"}.items() <= run.data.tags.items()


def test_metrics_pictures_and_settings(database: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    tracker = MLflowTracker("imtext", database, str(tmp_path / "files"), system_metrics=0)
    tracker.log_metrics({"val/t2i_r@10": 0.5}, step=3)
    tracker.log_hyperparams({"optim": {"lr": 1}, "seed": 1})
    tracker.log_hyperparams({"optim": {"lr": 2}, "seed": 1})
    tracker.log_picture(Image.new("RGB", (8, 8)), "text_to_image", 1)
    assert list((tmp_path / "files").rglob("*.png"))
    run = only_run(database)
    assert run.data.metrics == {"1_val/t2i_r10": 0.5}
    assert run.data.params == {"optim.lr": "1", "seed": "1"}
    assert {key: value for key, value in run.data.tags.items() if key.startswith("resumed/")} == {
        "resumed/optim.lr": "2"
    }
    assert not [warning for warning in recwarn if "special characters" in str(warning.message)]
