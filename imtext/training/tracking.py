"""The record of a run in MLflow, which a resume continues."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning.pytorch.loggers import Logger, MLFlowLogger
from omegaconf import OmegaConf
from PIL import Image

from imtext.preprocess.tokenizer import Tokenizer
from imtext.search.bundle import load_bundle
from imtext.training.checkpoints import flat, read_checkpoint, strip
from imtext.training.distributed import is_rank_zero
from imtext.training.mlflow_store import artifact_store, prepare_store, quiet_mlflow, run_exists
from imtext.training.provenance import run_name as default_run_name
from imtext.training.provenance import source_tags, sweep_tags

__all__ = ["MLflowTracker", "metric_name", "source_tags", "tracked"]

log = logging.getLogger(__name__)

# MLflow shows one section of charts for each part before the slash, in alphabetical order. The numbers put validation
# first and learning rates last.
SECTIONS = {"val": "1_val", "train": "2_train", "test": "3_test", "lr": "4_lr"}
LONGEST_PARAMETER = 250  # characters of a parameter that are compared, as Lightning logs them


def metric_name(name: str) -> str:
    """The name of a metric in MLflow, which allows no `@`: `val/t2i_r@10` becomes `1_val/t2i_r10`."""
    section, slash, rest = name.replace("@", "").partition("/")
    return f"{SECTIONS.get(section, section)}{slash}{rest}"


class MLflowTracker(MLFlowLogger):
    """Lightning's MLflow logger, with the tags, files, pictures and status of a run.

    Names of metrics are those of `metric_name`.

    Args:
        experiment_name: MLflow experiment that the run belongs to.
        tracking_uri: database or server; a path in it must be absolute.
        artifact_location: folder or URI for the files of a new experiment; servers ignore folders.
        run_name: shown in the list of runs; None derives it from the configuration.
        tags: strings to find the run by.
        run_id: of the run to continue.
        system_metrics: seconds between readings of CPU, memory and GPU load; 0 for none.

    Raises:
        ConfigError: MLflow cannot use the store, or the experiment has been deleted.
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
        quiet_mlflow()
        self._system_metrics = system_metrics
        self._monitor: Any = None
        artifact_location = artifact_store(tracking_uri, artifact_location)
        prepare_store(tracking_uri, experiment_name, artifact_location)
        if run_id is not None and not run_exists(tracking_uri, run_id):
            log.warning("The MLflow run %s is not in %s; a new run continues it", run_id, tracking_uri)
            run_id = None
        self._resumed = run_id is not None
        super().__init__(
            experiment_name,
            run_name=run_name or default_run_name(),
            tracking_uri=tracking_uri,
            tags={key: str(value) for key, value in (tags or {}).items() if value is not None} | sweep_tags(),
            artifact_location=artifact_location,
            run_id=run_id,
        )

    def start(self, tags: dict[str, str]) -> None:
        """Mark the run as running, tag it, and begin to log the load of the machine."""
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
        """Do nothing: Lightning calls this after each of validate, fit and test, but a run ends once, with `close`."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics at a step."""
        super().log_metrics({metric_name(name): value for name, value in metrics.items()}, step)

    def log_hyperparams(self, params: dict[str, Any]) -> None:  # type: ignore[override]
        """Log the configuration. MLflow never changes a parameter, so what a resume changed becomes a tag."""
        if not is_rank_zero():
            return
        wanted = {key: str(value) for key, value in flat(params).items()}
        logged = self.experiment.get_run(self.run_id).data.params
        super().log_hyperparams({key: value for key, value in wanted.items() if key not in logged})
        changed = {
            key: value for key, value in wanted.items() if key in logged and logged[key] != value[:LONGEST_PARAMETER]
        }
        self.set_tags({f"resumed/{key}": value for key, value in changed.items()})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags to the run."""
        for key, value in tags.items():
            self.experiment.set_tag(self.run_id, key, value)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file with the run."""
        self.experiment.log_artifact(self.run_id, str(path), folder)

    def log_inputs(self, config: Mapping[str, Any], tokenizer: Tokenizer) -> None:
        """Keep configuration and tokenizer, before anything can fail."""
        with TemporaryDirectory() as folder:
            config_yaml = OmegaConf.to_yaml(OmegaConf.create(dict(config)))
            (Path(folder) / "config.yaml").write_text(config_yaml, encoding="utf-8")
            (Path(folder) / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
            self.experiment.log_artifacts(self.run_id, folder)

    def log_results(self, output_dir: Path, best: Path | None) -> None:
        """Keep metrics, curves, and the best and the last model without optimizer state.

        Args:
            output_dir: folder of the run.
            best: the best checkpoint; None if none was kept.
        """
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

    def register(self, bundle: Path, name: str) -> None:
        """Make the bundle of this run the newest version of a registered model."""
        from imtext.training.registry import register

        version = register(load_bundle(bundle), name, str(self.run_id), self._tracking_uri)
        log.info("Registered as %s", version.uri)

    def log_picture(self, picture: Image.Image, key: str, step: int) -> None:
        """Show a picture among the charts of the run, with a slider over steps."""
        self.experiment.log_image(self.run_id, picture, key=key, step=step)


@contextmanager
def tracked(loggers: Iterable[Logger], tags: Mapping[str, str]) -> Iterator[list[MLflowTracker]]:
    """Open the MLflow runs among `loggers`, and end each with the status that fits how the block ends.

    Args:
        loggers: of the trainer.
        tags: to add to the runs, beside `source_tags`.

    Yields:
        The loggers that are an `MLflowTracker`; none in a process that writes nothing.
    """
    trackers = [logger for logger in loggers if isinstance(logger, MLflowTracker) and is_rank_zero()]
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
