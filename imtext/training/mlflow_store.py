"""MLflow's database and experiments: created once, and marked as model training."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from imtext.errors import ConfigError

# MLflow 3 files an experiment under model training or under GenAI by this tag.
KIND, MODEL_TRAINING = "mlflow.experimentKind", "custom_model_development"


def artifact_store(tracking_uri: str, wanted: str | None) -> str | None:
    """The URI for the files of a new experiment.

    Args:
        tracking_uri: database or server.
        wanted: a folder or a URI.

    Returns:
        None if the server chooses, because a server cannot use a folder of this machine.
    """
    if wanted is None or "://" in wanted:
        return wanted
    return None if tracking_uri.startswith(("http", "databricks")) else Path(wanted).absolute().as_uri()


def prepare_store(tracking_uri: str, experiment_name: str, artifact_location: str | None) -> None:
    """Create the database and the experiment unless they exist, and mark the experiment as model training.

    Raises:
        ConfigError: MLflow refuses or cannot reach the store, or the experiment has been deleted.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    quiet_mlflow()
    try:
        with alone(tracking_uri):
            client = mlflow.MlflowClient(tracking_uri)
        experiment = client.get_experiment_by_name(experiment_name)
        if experiment is None:
            with suppress(MlflowException):  # another process has just created it
                client.create_experiment(
                    experiment_name, artifact_location=artifact_location, tags={KIND: MODEL_TRAINING}
                )
        elif experiment.lifecycle_stage != "deleted" and KIND not in experiment.tags:
            client.set_experiment_tag(experiment.experiment_id, KIND, MODEL_TRAINING)
    except (MlflowException, OSError) as error:
        raise ConfigError(
            f"MLflow cannot use {tracking_uri}: {str(error).splitlines()[0]}. Unset MLFLOW_TRACKING_URI to use the "
            "database in runs/, or train without MLflow: logger=csv"
        ) from error
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        raise ConfigError(
            f"The MLflow experiment {experiment_name!r} has been deleted. Restore it with `mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}`, or choose another name with experiment_name=…"
        )


@contextmanager
def alone(tracking_uri: str) -> Iterator[None]:
    """Let one process after the other open a database in a file: MLflow opens one that another is still creating.

    Raises:
        OSError: the folder of the database cannot be written.
    """
    if not tracking_uri.startswith("sqlite:///"):
        yield
        return
    database = Path(tracking_uri.removeprefix("sqlite:///"))
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_name(database.name + ".lock")):
        yield


def run_exists(tracking_uri: str, run_id: str) -> bool:
    """Whether a run is in the store and has not been deleted."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        return bool(MlflowClient(tracking_uri).get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException:
        return False


def quiet_mlflow() -> None:
    """Hide the hundreds of log lines about the database's migrations."""
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.system_metrics.system_metrics_monitor"):
        logging.getLogger(name).setLevel(logging.WARNING)
