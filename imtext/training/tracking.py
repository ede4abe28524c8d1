"""MLflow: one database for all runs and sweeps, one run per training, the same run again after a resume."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback as HydraCallback
from hydra.types import RunMode
from lightning.pytorch.loggers import Logger, MLFlowLogger
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from imtext.errors import ConfigError
from imtext.tokenizer import Tokenizer
from imtext.training.checkpoints import flat, read_checkpoint, strip

log = logging.getLogger(__name__)


class MLflowTracker(MLFlowLogger):
    """Lightning's MLflow logger, with what a training needs beside metrics.

    MLflow allows no `@` in names: `val/t2i_r@10` is `val/t2i_r10` there.

    Args:
        experiment_name: MLflow experiment that the run belongs to.
        tracking_uri: database or server; a path in it must be absolute.
        artifact_location: folder or URI for files, for a new experiment; a server chooses for itself, and a folder
            of this machine would mean nothing to it.
        run_name: shown in the list of runs; None describes the run.
        tags: strings to find the run by.
        run_id: of the run to go on with.
        system_metrics: log CPU, memory and GPU load every so many seconds; 0 is never.
    """

    def __init__(
        self,
        experiment_name: str,
        tracking_uri: str,
        artifact_location: str | None = None,
        run_name: str | None = None,
        tags: dict[str, Any] | None = None,
        run_id: str | None = None,
        system_metrics: float = 10,
    ) -> None:
        _quiet()
        self._system_metrics = system_metrics
        self._monitor: Any = None
        artifact_location = artifact_store(tracking_uri, artifact_location)
        prepare_store(tracking_uri, experiment_name, artifact_location)
        if run_id is not None and not _run_exists(tracking_uri, run_id):
            log.warning("The MLflow run %s is not in %s; going on in a new one", run_id, tracking_uri)
            run_id = None
        self._resumed = run_id is not None
        super().__init__(
            experiment_name,
            run_name=run_name or _run_name(),
            tracking_uri=tracking_uri,
            tags={key: str(value) for key, value in (tags or {}).items() if value is not None} | _sweep_tags(),
            artifact_location=artifact_location,
            run_id=run_id,
        )

    def start(self, tags: dict[str, str]) -> None:
        """Mark the run as running, tag it, and begin to watch the machine."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self.experiment.update_run(self.run_id, status="RUNNING")
        self.set_tags(tags)
        if self._system_metrics > 0:
            self._monitor = SystemMetricsMonitor(
                self.run_id, self._system_metrics, resume_logging=self._resumed, tracking_uri=self._tracking_uri
            )
            self._monitor.start()

    def close(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED."""
        if self._monitor is not None:
            self._monitor.finish()
        self.experiment.set_terminated(self.run_id, status)

    def finalize(self, status: str = "success") -> None:
        """Nothing: Lightning ends a run after each of validate, fit and test; `close` does it once."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log figures at a step."""
        super().log_metrics({name.replace("@", ""): value for name, value in metrics.items()}, step)

    def log_hyperparams(self, params: dict[str, Any]) -> None:  # type: ignore[override]
        """Log the configuration. MLflow never changes a parameter, so what a resume changed becomes a tag."""
        wanted = {key: str(value) for key, value in flat(params).items()}
        logged = self.experiment.get_run(self.run_id).data.params
        super().log_hyperparams({key: value for key, value in wanted.items() if key not in logged})
        self.set_tags(
            {f"resumed/{key}": value for key, value in wanted.items() if key in logged and logged[key] != value[:250]}
        )

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags to the run."""
        for key, value in tags.items():
            self.experiment.set_tag(self.run_id, key, value)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file with the run."""
        self.experiment.log_artifact(self.run_id, str(path), folder)

    def log_inputs(self, config: Mapping[str, Any], tokenizer: Tokenizer) -> None:
        """Keep configuration and vocabulary, before anything can go wrong."""
        with TemporaryDirectory() as folder:
            (Path(folder) / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(dict(config))))
            (Path(folder) / "tokenizer.json").write_text(tokenizer.to_json())
            self.experiment.log_artifacts(self.run_id, folder)

    def log_results(self, output_dir: Path, best: Path | None) -> None:
        """Keep figures, curves, and the best and the final model without optimizer state."""
        for name in ("metrics.json", "curves.png"):
            if (output_dir / name).is_file():
                self.log_file(output_dir / name)
        models = {"best": best, "final": output_dir / "checkpoints" / "last.ckpt"}
        with TemporaryDirectory() as folder:
            for name, path in models.items():
                if path is not None and path.is_file():
                    torch.save(strip(read_checkpoint(path)), Path(folder) / f"{name}.ckpt")
                    self.log_file(Path(folder) / f"{name}.ckpt", "model")
        if best is not None:
            self.set_tags({"checkpoint": str(best)})

    def log_folder(self, folder: Path) -> None:
        """Keep a folder, under its own name."""
        self.experiment.log_artifacts(self.run_id, str(folder), folder.name)

    def log_picture(self, picture: Image.Image, key: str, step: int) -> None:
        """Show a picture among the run's charts, with a slider over steps."""
        self.experiment.log_image(self.run_id, picture, key=key, step=step)


@contextmanager
def tracked(loggers: Iterable[Logger], tags: Mapping[str, str]) -> Iterator[list[MLflowTracker]]:
    """Keep the MLflow runs among `loggers` open for the length of a training, and end them as it ends."""
    trackers = [logger for logger in loggers if isinstance(logger, MLflowTracker)]
    for tracker in trackers:
        tracker.start({**source_tags(), **tags})
    status = "FAILED"
    try:
        yield trackers
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        for tracker in trackers:
            tracker.close(status)


class PrepareSweep(HydraCallback):
    """Makes database and experiment before the first trial, so that parallel trials do not race for it.

    At the end it says how to find them all again.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra in the parent process."""
        logger = config.get("logger")
        if logger is not None and str(logger.get("_target_", "")).endswith("MLflowTracker"):
            location = artifact_store(logger.tracking_uri, logger.artifact_location)
            prepare_store(logger.tracking_uri, logger.experiment_name, location)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra in the parent process."""
        name = Path(config.hydra.sweep.dir).name
        print(f"Sweep: {config.hydra.sweep.dir}; in MLflow, search for tags.sweep = '{name}'")


def artifact_store(tracking_uri: str, wanted: str | None) -> str | None:
    """URI of the files of a new experiment; None where the server is to choose."""
    if wanted is None or "://" in wanted:
        return wanted
    return None if tracking_uri.startswith(("http", "databricks")) else Path(wanted).absolute().as_uri()


def prepare_store(tracking_uri: str, experiment_name: str, artifact_location: str | None) -> None:
    """Create the database and the experiment in it, unless they are there.

    Raises:
        ConfigError: MLflow refuses or cannot reach it, or the experiment is in the bin.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    _quiet()
    if tracking_uri.startswith("sqlite:///"):
        Path(tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    try:
        client = mlflow.MlflowClient(tracking_uri)
        experiment = client.get_experiment_by_name(experiment_name)
        if experiment is None:
            with suppress(MlflowException):  # another process was faster
                kind = {"mlflow.experimentKind": "custom_model_development"}  # opens in the view for training
                client.create_experiment(experiment_name, artifact_location=artifact_location, tags=kind)
    except (MlflowException, OSError) as error:
        raise ConfigError(
            f"MLflow cannot use {tracking_uri}: {str(error).splitlines()[0]}. Unset MLFLOW_TRACKING_URI for the "
            "database in runs/, or train without it: logger=csv"
        ) from error
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        raise ConfigError(
            f"The MLflow experiment {experiment_name!r} has been deleted. Restore it with `mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}`, or choose another name with experiment_name=…"
        )


def _run_name() -> str:
    """What is special about this run: the overrides of a trial, or model and data."""
    if not HydraConfig.initialized():
        return "run"
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        swept = _swept_keys()
        mine = [override for override in hydra.overrides.task if override.split("=")[0].lstrip("+") in swept]
        return ", ".join(mine) or f"trial {hydra.job.num}"
    return f"{hydra.runtime.choices.get('model')} on {hydra.runtime.choices.get('data')}"


def _swept_keys() -> set[str]:
    """What differs between the trials of this sweep: keys with several values on the command line or in `sweep=`."""
    keys = {str(key) for key in HydraConfig.get().sweeper.get("params") or {}}
    for arg in sys.argv[1:]:
        with suppress(HydraException):  # a flag
            override = OverridesParser.create().parse_override(arg)
            if override.is_sweep_override():
                keys.add(override.key_or_group)
    return keys


def _sweep_tags() -> dict[str, str]:
    """Which sweep a trial belongs to; all its runs are found with `tags.sweep = '…'`."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return {}
    hydra = HydraConfig.get()
    return {"sweep": Path(hydra.sweep.dir).name, "trial": str(hydra.job.num)}


def _run_exists(tracking_uri: str, run_id: str) -> bool:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        return bool(MlflowClient(tracking_uri).get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException:
        return False


def source_tags() -> dict[str, str]:
    """Which code and which command made the run."""
    tags = {"mlflow.source.name": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]), "mlflow.source.type": "LOCAL"}

    def git(*args: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(["git", "-C", str(folder), *args], capture_output=True, text=True, check=True).stdout

    with suppress(OSError, subprocess.CalledProcessError):
        tags["git_commit"] = tags["mlflow.source.git.commit"] = git("rev-parse", "HEAD").strip()
        tags["git_dirty"] = str(bool(git("status", "--porcelain").strip())).lower()
    return tags


def _quiet() -> None:
    """Hold back the database's migration log, hundreds of lines of no interest."""
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.system_metrics.system_metrics_monitor"):
        logging.getLogger(name).setLevel(logging.WARNING)
