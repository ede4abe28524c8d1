"""The record of a trial in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from imtext.config.instantiate import instantiate, locate
from imtext.config.trials import Trial
from imtext.training.mlflow_store import artifact_store, prepare_store
from imtext.training.tracking import MLflowTracker, tracked


def record(trial: Trial, metrics: Mapping[str, float], sweep: str) -> None:
    """Make one MLflow run of a finished trial; other loggers record nothing.

    Args:
        trial: its configuration names the store and the experiment.
        metrics: see `Bench.run`.
        sweep: name of the sweep. The tags `sweep` and `trial` find its runs.
    """
    if mlflow_logger(trial.config) is None:
        return
    name = f"{trial.name or 'as it is'}, seed {trial.seed}"
    with tracked([open_run(trial.config, name, {"sweep": sweep, "trial": trial.name})], {}) as (tracker,):
        log_trial(tracker, trial.config, metrics)


def mlflow_logger(config: DictConfig) -> DictConfig | None:
    """The settings of the logger, if it is MLflow's."""
    logger: Any = config.get("logger") or {}
    target = locate(str(logger["_target_"])) if "_target_" in logger else None
    return logger if isinstance(target, type) and issubclass(target, MLflowTracker) else None


def prepare(logger: DictConfig) -> None:
    """Create MLflow's database and experiment; see `prepare_store`."""
    files = artifact_store(logger.tracking_uri, logger.artifact_location)
    prepare_store(logger.tracking_uri, logger.experiment_name, files)


def open_run(config: DictConfig, name: str, tags: Mapping[str, str]) -> MLflowTracker:
    """A new run in MLflow, for a configuration whose logger is MLflow's."""
    tags = {**(config.tags or {}), **tags}
    tracker: MLflowTracker = instantiate(config.logger, run_name=name, tags=tags, system_metrics=0)
    return tracker


def log_trial(tracker: MLflowTracker, config: DictConfig, metrics: Mapping[str, float]) -> None:
    """Log the settings and the metrics of a trial; a failed one has no metrics."""
    tracker.log_hyperparams(OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
    minutes = {"minutes": metrics["seconds"] / 60} if "seconds" in metrics else {}
    tracker.log_metrics({**metrics, **minutes})
