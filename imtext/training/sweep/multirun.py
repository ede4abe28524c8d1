"""The preparation and the end of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf


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
        from imtext.config.instantiate import locate
        from imtext.training.mlflow_store import artifact_store, prepare_store
        from imtext.training.tracking import MLflowTracker

        logger = config.get("logger") or OmegaConf.create({})
        target = locate(str(logger["_target_"])) if "_target_" in logger else None
        if isinstance(target, type) and issubclass(target, MLflowTracker):
            files = artifact_store(logger.tracking_uri, logger.artifact_location)
            prepare_store(logger.tracking_uri, logger.experiment_name, files)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls this in the parent process."""
        from imtext.training.sweep.grid import RANK_BY, print_trials, read_trials

        folder = Path(config.hydra.sweep.dir)
        name = folder.name
        print_trials(read_trials(folder, config.get("optimized_metric") or RANK_BY))
        print(f"Sweep: {folder}; in MLflow, search for tags.sweep = '{name}'")
