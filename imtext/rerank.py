"""Train a re-ranker for a dual encoder: ``python -m imtext.rerank ckpt_path=best``.

The dual encoder stays as it is. Every function imports torch and Lightning itself, so that `--help` answers at once.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imtext.errors import BundleError, ImtextError, needs

with needs("train", exits=__name__ == "__main__"):
    from omegaconf import DictConfig, OmegaConf

    from imtext.config.launch import launch
    from imtext.config.schema import check_config

if TYPE_CHECKING:
    from imtext.training.rerank.run import RerankRun
    from imtext.training.tracking import MLflowTracker

log = logging.getLogger(__name__)


def rerank(config: DictConfig) -> tuple[dict[str, float], dict[str, Any]]:
    """Train a re-ranker, choose the best epoch by validation, measure it, and export both models as a bundle.

    Args:
        config: composed from `conf/rerank.yaml`.

    Returns:
        The metrics written to `metrics.json`, and the objects of the run: `run`, `checkpoint`.

    Raises:
        ImtextError: a setting, the data or a checkpoint is wrong; the message says how to fix it.
        KeyboardInterrupt: stopped by Ctrl-C; `last.ckpt` has been saved.
    """
    from imtext.training.rerank.run import train_reranker
    from imtext.training.tracking import tracked
    from imtext.training.trainer import explain_stop

    started = time.monotonic()
    run = prepare(config)
    output_dir = Path(config.paths.output_dir)
    tags = {
        "output_dir": str(output_dir), "data_source": run.data.source, "data_split": run.data.split_rule,
        "dual_encoder": str(config.ckpt_path),
    }  # fmt: skip
    with tracked(run.loggers, tags) as trackers:
        for tracker in trackers:
            run.facts["run_ids"]["mlflow"] = str(tracker.run_id)
            tracker.log_inputs(_plain(config), run.data.tokenizer)
        for logger in run.loggers:
            logger.log_hyperparams(_plain(config))
        with explain_stop(output_dir, f"python -m imtext.rerank resume={output_dir}"):
            best = train_reranker(run)
        metrics = {} if best is None else finish(run, best, started, trackers, output_dir, config.bundle)
    return metrics, {"run": run, "checkpoint": best}


def prepare(config: DictConfig) -> RerankRun:
    """Check the settings, choose the device, and read the dual encoder and its data."""
    from lightning.pytorch import seed_everything

    from imtext.config.instantiate import instantiate
    from imtext.training.checkpoints import find_checkpoint, read_checkpoint, rebuild
    from imtext.training.devices import settle_device
    from imtext.training.rerank.resume import find_resume_point, overrides_of
    from imtext.training.rerank.run import RerankRun
    from imtext.training.run import check_stream
    from imtext.training.trained_data import build_data
    from imtext.training.trainer import check_trainer, hide_expected_warnings

    hide_expected_warnings()
    check_config(config, "rerank")
    check_trainer(config.trainer)
    config = config.copy()
    settle_device(config.trainer)
    seed_everything(config.seed, verbose=False)
    checkpoint = find_checkpoint(str(config.ckpt_path), Path(config.paths.runs_dir))
    content = read_checkpoint(checkpoint)
    log.info("Dual encoder: %s", checkpoint)
    recipe = instantiate(config.rerank)
    resume = find_resume_point(config)
    trained = rebuild(content)
    data = build_data(config.data, trained)
    check_stream(data, config.model.reranker)
    data.require("train", "val")
    plain = _plain(config)
    return RerankRun(
        trained=trained,
        content=content,
        data=data,
        settings=plain["model"]["reranker"],
        recipe=recipe,
        trainer=plain["trainer"],
        loggers=[instantiate(config.logger)] if config.get("logger") else [],
        folder=Path(config.paths.output_dir) / "checkpoints",
        facts={"rerank": plain, "run_ids": {}, "overrides": overrides_of(checkpoint)},
        seed=config.seed,
        resume=resume,
        progress=config.progress,
    )


def finish(
    run: RerankRun, best: Path, started: float, trackers: list[MLflowTracker], output_dir: Path, bundle: bool
) -> dict[str, float]:
    """Measure the best epoch, write and record its metrics, print them, and export both models."""
    from imtext.evaluation.report import print_results, write_metrics
    from imtext.training.checkpoints import load_model, read_checkpoint
    from imtext.training.rerank.measure import measure_both

    trained = load_model(best)
    metrics = measure_both(trained, run.data, run.recipe.rerank_top_k, run.device)
    assert trained.reranker is not None
    metrics |= {
        "best_epoch": float(read_checkpoint(best)["epoch"] + 1),
        "rerank_weight": float(trained.reranker.weight),
        "seconds": round(time.monotonic() - started, 1),
    }
    written = write_metrics(metrics, output_dir)
    for tracker in trackers:
        tracker.log_metrics(metrics)
        tracker.log_results(output_dir, best)
    exported = export_both(run, best, metrics, output_dir) if bundle else None
    for tracker in trackers if exported is not None else []:
        tracker.log_folder(output_dir / "bundle")
    print_results(metrics, f"Best: epoch {metrics['best_epoch']:.0f} of {run.trainer['max_epochs']}")
    print(f"Checkpoint: {best}")
    if exported is not None:
        print(f"Bundle: {exported}")
    print(f"Metrics: {written}", flush=True)
    return metrics


def export_both(run: RerankRun, best: Path, metrics: dict[str, float], output_dir: Path) -> Path:
    """Export the dual encoder and the re-ranker into the run's folder."""
    from imtext.export import export
    from imtext.training.checkpoints import load_model
    from imtext.training.tracking import source_tags

    log.info("Exporting both models and comparing them with the trained ones on validation")
    bundle = output_dir / "bundle"
    tags = {"data_fingerprint": run.data.fingerprint, "data_source": run.data.source, "checkpoint": str(best)}
    try:
        export(load_model(best), run.data, bundle, metrics, {**source_tags(), **tags})
    except ImtextError as error:
        raise BundleError(
            f"{error} The training itself is complete; its results are in {output_dir}. "
            f"Once this is fixed: imtext export {best}"
        ) from error
    return bundle


def _plain(config: DictConfig) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return dict(plain)


def task(config: DictConfig) -> float | None:
    """The MRR of the re-ranked order on validation, which a sweeper optimises."""
    return rerank(config)[0].get("val/rerank_t2i_mrr")


def continue_last(overrides: list[str]) -> list[str]:
    """Complete a command line that has `resume=…`."""
    if not any(override.startswith("resume=") for override in overrides):
        return overrides
    from imtext.training.resume import continue_run

    return continue_run(overrides, "rerank", "resume")


def main() -> None:
    """The command line."""
    launch("rerank", task, continue_last)


if __name__ == "__main__":
    main()
