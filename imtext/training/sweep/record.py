"""The record of a trial in MLflow."""

from __future__ import annotations

from collections.abc import Mapping

from omegaconf import OmegaConf

from imtext.config.instantiate import instantiate, locate
from imtext.config.trials import Trial
from imtext.training.tracking import MLflowTracker, tracked


def record(trial: Trial, metrics: Mapping[str, float], sweep: str) -> None:
    """Make one MLflow run of a finished trial; other loggers record nothing.

    Args:
        trial: its configuration names the store and the experiment.
        metrics: see `Bench.run`.
        sweep: name of the sweep. The tags `sweep` and `trial` find its runs.
    """
    logger = trial.config.get("logger") or {}
    target = locate(str(logger["_target_"])) if "_target_" in logger else None
    if not (isinstance(target, type) and issubclass(target, MLflowTracker)):
        return
    name = f"{trial.name or 'as it is'}, seed {trial.seed}"
    tags = {**(trial.config.tags or {}), "sweep": sweep, "trial": trial.name}
    tracker: MLflowTracker = instantiate(logger, run_name=name, tags=tags, system_metrics=0)
    with tracked([tracker], {}):
        tracker.log_hyperparams(OmegaConf.to_container(trial.config, resolve=True))  # type: ignore[arg-type]
        tracker.log_metrics({**metrics, "minutes": metrics["seconds"] / 60})
