"""A study in MLflow: a run for the study, and in it one for each trial.

MLflow only shows what the database of the study holds. Whatever is missing there is recorded again, so that a killed
worker leaves no gap, and a machine that joins has all trials in its own MLflow.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

import optuna
from mlflow import MlflowClient
from omegaconf import DictConfig
from optuna.trial import FrozenTrial, TrialState

from imtext.training.sweep.record import log_trial, mlflow_logger, open_run, prepare
from imtext.training.sweep.study.queue import ended, error_of, metrics_of
from imtext.training.tracking import metric_name

KEY = "mlflow_key"  # attribute of the study: distinguishes it from another of its name
PARENT = "mlflow.parentRunId"


def track(
    study: optuna.Study, config: DictConfig, config_of: Callable[[FrozenTrial], DictConfig], metric: str, n_trials: int
) -> None:
    """Record the trials that have ended since the last call; only one worker at a time may do this.

    Args:
        study: the study.
        config: of the command; with another logger than MLflow's, nothing happens.
        config_of: the configuration of a trial.
        metric: what is optimised.
        n_trials: trials of the study; with the last one, its run ends.
    """
    if (logger := mlflow_logger(config)) is None:
        return
    prepare(logger)
    if (key := study.user_attrs.get(KEY)) is None:
        study.set_user_attr(KEY, key := uuid.uuid4().hex)
    client = MlflowClient(logger.tracking_uri)
    experiment = client.get_experiment_by_name(logger.experiment_name).experiment_id
    runs = client.search_runs([experiment], f"tags.study = '{key}'", max_results=50_000)
    known = {run.data.tags.get("trial"): run for run in runs}
    tags = {"study": key, "sweep": study.study_name}
    run = known.get(None)
    parent = str(open_run(config, study.study_name, tags).run_id if run is None else run.info.run_id)
    trials = ended(study.get_trials(deepcopy=False))
    for each in trials:
        run = known.get(str(each.number))
        if run is not None and run.info.status != "RUNNING":
            continue
        if run is not None:  # whoever recorded it was killed
            client.delete_run(run.info.run_id)
        _record(each, config_of, {**tags, PARENT: parent, "trial": str(each.number)})
    _close(client, parent, study, trials, metric, n_trials)


def _record(trial: FrozenTrial, config_of: Callable[[FrozenTrial], DictConfig], tags: dict[str, str]) -> None:
    config, error = config_of(trial), error_of(trial)
    name = ", ".join(f"{key.rpartition('.')[2]}={_short(value)}" for key, value in trial.params.items())
    tracker = open_run(config, name, tags)
    tracker.start({"error": error} if error else {"pruned": str(trial.state is TrialState.PRUNED).lower()})
    log_trial(tracker, config, metrics_of(trial))
    tracker.close("FAILED" if error else "FINISHED")


def _close(
    client: MlflowClient, run: str, study: optuna.Study, trials: Sequence[FrozenTrial], metric: str, n_trials: int
) -> None:
    """Show the best value so far, and end the run with the last trial."""
    complete = any(each.state is TrialState.COMPLETE for each in trials)
    if complete:
        client.log_metric(run, metric_name(metric), study.best_value, step=len(trials))
        client.set_tag(run, "best_trial", str(study.best_trial.number))
    if len(trials) >= n_trials:
        client.set_terminated(run, "FINISHED" if complete else "FAILED")
    else:
        client.update_run(run, "RUNNING")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
