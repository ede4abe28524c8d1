"""The preparation and the end of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from imtext.config.failures import collect


class PrepareSweep(Callback):
    """Creates MLflow's database and experiment before the first trial, so that parallel trials do not race for it.

    At the end it prints the trials, best first, and where the results are.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls this in the parent process.

        Raises:
            ConfigError: MLflow cannot use the store.
        """
        # Imported here: Hydra creates this callback for every command, and only sweeps need these slow imports.
        from imtext.training.sweep.record import mlflow_logger, prepare

        if (logger := mlflow_logger(config)) is not None:
            prepare(logger)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls this in the parent process."""
        from imtext.training.sweep.grid import read_trials
        from imtext.training.sweep.ranking import RANK_BY, print_trials

        folder = Path(config.hydra.sweep.dir)
        name = folder.name
        metric = config.get("optimized_metric") or RANK_BY
        trials = read_trials(folder, metric)
        print_trials(trials, metric)
        collect(folder)
        print(f"Sweep: {folder}; in MLflow, search for tags.sweep = '{name}'")
