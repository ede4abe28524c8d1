"""Train a dual encoder: ``python -m imtext.train model=mobilenet_lstm data=flickr8k``.

Every function imports torch and Lightning itself, so that `--help` and `--cfg job` answer at once.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imtext.errors import BundleError, ConfigError, ImtextError, needs

with needs("train", exits=__name__ == "__main__"):
    from omegaconf import DictConfig

    from imtext.config.launch import launch
    from imtext.config.schema import check_config

if TYPE_CHECKING:
    from imtext.training.run import Run
    from imtext.training.tracking import MLflowTracker

log = logging.getLogger(__name__)


def train(config: DictConfig) -> tuple[dict[str, float], dict[str, Any]]:
    """Train, choose the best epoch by validation, and measure it.

    Args:
        config: composed from `conf/train.yaml`.

    Returns:
        The metrics written to `metrics.json`, and the objects of the run: `datamodule`, `module`, `trainer`.

    Raises:
        ImtextError: a setting, the data or a checkpoint is wrong; the message says how to fix it.
        KeyboardInterrupt: stopped by Ctrl-C; `last.ckpt` has been saved.
    """
    from imtext.evaluation.report import write_metrics
    from imtext.training.distributed import end_together, is_rank_zero
    from imtext.training.measure import measure
    from imtext.training.rerank.after import add_reranker
    from imtext.training.tracking import tracked
    from imtext.training.trainer import explain_stop

    started = time.monotonic()
    run = prepare(config)
    with tracked(run.trainer.loggers, run.tags) as trackers:
        with explain_stop(run.output_dir), end_together(run.trainer):
            fit(run, trackers)
            metrics, best = measure(run.trainer, run.module, run.data)
            if is_rank_zero():
                write_metrics(metrics, run.output_dir)  # the re-ranker may fail, and these took long
            metrics |= add_reranker(run, best)
        metrics |= {"epochs": float(run.trainer.current_epoch), "seconds": round(time.monotonic() - started, 1)}
        bundle = finish(run, trackers, metrics, best)
    report(run, metrics, best, bundle)
    return metrics, {"datamodule": run.data, "module": run.module, "trainer": run.trainer}


def prepare(config: DictConfig) -> Run:
    """Check the settings, choose the device, read the data and build the model."""
    from lightning.pytorch import seed_everything

    from imtext.training.devices import settle_device
    from imtext.training.run import build_run
    from imtext.training.trainer import check_trainer, hide_expected_warnings

    hide_expected_warnings()
    check_config(config)
    if config.get("sweep") is not None:
        raise ConfigError("This sweep is a list of trials: python -m imtext.sweep sweep=…")
    check_trainer(config.trainer)
    config = config.copy()
    settle_device(config.trainer, several=not _is_multirun())
    seed_everything(config.seed, verbose=False)
    return build_run(config)


def _is_multirun() -> bool:
    """Is this a trial of a multirun? Processes that help would start all of it again."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def fit(run: Run, trackers: list[MLflowTracker]) -> None:
    """Record the inputs, measure the untrained model, cache features of frozen blocks, and train."""
    from imtext.training.features import cache_features
    from imtext.training.text_features import cache_text_features

    for tracker in trackers:
        run.module.run_ids["mlflow"] = str(tracker.run_id)
        tracker.log_inputs(run.config, run.data.tokenizer)
    for logger in run.trainer.loggers:
        logger.log_hyperparams(run.config)
    if not run.is_smoke_test:
        if run.resumed is None and run.config["baseline"]:
            for metrics in run.trainer.validate(run.module, run.data, verbose=False):
                log.info("Before training: validation rsum %.1f", 100 * metrics["val/rsum"])
        epochs = range(run.resumed.epochs_done if run.resumed else 0, run.config["trainer"]["max_epochs"])
        device = run.trainer.strategy.root_device
        model, plan = run.module.model, run.module.plan
        run.data.features = cache_features(model.image_encoder, plan, run.data, device, epochs)
        run.data.text_features = cache_text_features(model.text_encoder, plan, run.data, device, epochs)
    checkpoint = run.resumed.path if run.resumed else None
    run.trainer.fit(run.module, run.data, ckpt_path=checkpoint, weights_only=True)


def finish(run: Run, trackers: list[MLflowTracker], metrics: dict[str, float], best: Path | None) -> Path | None:
    """Write metrics and curves, record them, and then export the best model.

    Returns:
        The folder of the bundle; None without one.
    """
    from imtext.evaluation.report import write_metrics
    from imtext.training.distributed import is_rank_zero
    from imtext.training.measure import summary_of

    if not is_rank_zero():
        return None
    write_metrics(metrics, run.output_dir)
    if (summary := summary_of(run.trainer)) is not None:
        summary.draw(run.output_dir / "curves.png")
    for tracker in trackers:
        tracker.log_results(run.output_dir, best)
        if run.resumed is None:  # after a resume this would be only a part of the time
            tracker.log_metrics({"minutes": metrics["seconds"] / 60})
    if best is None or not run.config["bundle"]:
        return None
    bundle = export_best(run, metrics, best)
    for tracker in trackers:
        tracker.log_folder(bundle)
        if name := run.config["registered_model"]:
            tracker.register(bundle, name)
    return bundle


def export_best(run: Run, metrics: dict[str, float], best: Path) -> Path:
    """Export the best checkpoint into the run's folder."""
    from imtext.export import export
    from imtext.training.checkpoints import load_model
    from imtext.training.tracking import source_tags

    log.info("Exporting the best model and comparing it with the trained one on validation")
    bundle, tags = run.output_dir / "bundle", {**run.tags, **source_tags(), "checkpoint": str(best)}
    try:
        export(load_model(best), run.data, bundle, metrics, tags)
    except ImtextError as error:
        raise BundleError(
            f"{error} The training itself is complete; its results are in {run.output_dir}. "
            f"Once this is fixed: imtext export {best}"
        ) from error
    return bundle


def report(run: Run, metrics: dict[str, float], best: Path | None, bundle: Path | None) -> None:
    """Print the results and the paths of the files."""
    from imtext.evaluation.report import print_results
    from imtext.training.distributed import is_rank_zero

    if not is_rank_zero():
        return
    chosen = f"Best: epoch {metrics['best_epoch']:.0f}" if "best_epoch" in metrics else "The last epoch"
    since = " since resuming" if run.resumed else ""
    print_results(metrics, f"{chosen} of {run.trainer.current_epoch}; {metrics['seconds']:.0f} s{since}")
    print(f"Checkpoint: {best or 'none kept'}")
    if bundle is not None:
        print(f"Bundle: {bundle}")
    print(f"Metrics: {(run.output_dir / 'metrics.json').absolute()}", flush=True)


def task(config: DictConfig) -> float | None:
    """One run, or one trial of a sweep; returns the metric that a sweeper optimises."""
    wanted = config.optimized_metric
    metrics, _ = train(config)
    if wanted and wanted not in metrics:
        raise ConfigError(f"optimized_metric={wanted} was not measured. Measured: {', '.join(sorted(metrics))}")
    return metrics[wanted] if wanted else None


def continue_last(overrides: list[str]) -> list[str]:
    """Complete a command line that has `ckpt_path=…`."""
    if not any(override.startswith("ckpt_path=") for override in overrides):
        return overrides
    from imtext.training.resume import continue_run

    return continue_run(overrides)


def main() -> None:
    """The command line."""
    launch("train", task, continue_last)


if __name__ == "__main__":
    main()
