"""Train a dual encoder: ``python -m imtext.train model=mobilenet_lstm data=flickr8k``."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from imtext.config.instantiate import instantiate
from imtext.config.launch import launch
from imtext.config.schema import check_config
from imtext.config.suggestions import did_you_mean
from imtext.errors import BundleError, ConfigError, ImtextError

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from imtext.data import RetrievalDataModule
    from imtext.training.callbacks import EpochSummary
    from imtext.training.module import RetrievalModule

log = logging.getLogger(__name__)


def train(config: DictConfig) -> tuple[dict[str, float], dict[str, Any]]:
    """Train, choose the best epoch by validation, and measure it.

    Args:
        config: composed from `conf/train.yaml`.

    Returns:
        The figures written to `metrics.json`, and the objects made on the way: `datamodule`, `module`, `trainer`.

    Raises:
        ImtextError: a setting, the data or a checkpoint is at fault; the message says how to put it right.
        KeyboardInterrupt: stopped by Ctrl-C; `last.ckpt` is in place.
    """
    # Imported here, so that `--help` and `--cfg job` answer at once.
    from hydra.core.hydra_config import HydraConfig
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch import seed_everything
    from lightning.pytorch.loggers.logger import DummyLogger

    from imtext.evaluation.report import print_results, write_metrics
    from imtext.models import build_model
    from imtext.training.checkpoints import check_resume, epochs_done, find_checkpoint, load_model, read_checkpoint
    from imtext.training.devices import keep_freed_memory, settle_device
    from imtext.training.features import cache_features
    from imtext.training.module import RetrievalModule
    from imtext.training.stages import Plan
    from imtext.training.text_features import cache_text_features
    from imtext.training.tracking import source_tags, tracked

    started = time.monotonic()
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # between Lightning and torch
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # it is when resuming
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")  # frozen blocks, on purpose
    warnings.filterwarnings(
        "ignore", message="`ModelCheckpoint.* could not find the monitored key"
    )  # between validations
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than the logging interval")
    check_config(config)
    check_trainer(config.trainer)
    config = config.copy()
    settle_device(config.trainer)
    keep_freed_memory()
    seed_everything(config.seed, verbose=False)
    output_dir = Path(config.paths.output_dir)
    checkpoint, run_ids = None, {}
    if config.ckpt_path is not None:
        checkpoint = find_checkpoint(str(config.ckpt_path), Path(config.paths.runs_dir), "last")
        content = read_checkpoint(checkpoint)
        check_resume(content, OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
        run_ids = content["imtext"]["run_ids"]
        if epochs_done(content) == config.trainer.max_epochs:
            log.info("All %d epochs are behind it; to go on, raise trainer.max_epochs", config.trainer.max_epochs)
        if config.get("logger") and "run_id" in config.logger:
            config.logger.run_id = run_ids.get("mlflow")

    # What can be wrong with the settings comes out here, before the data is read.
    callbacks = {name: instantiate(node) for name, node in (config.get("callbacks") or {}).items() if node is not None}
    logger = instantiate(config.logger) if config.get("logger") else DummyLogger()
    check_monitors(callbacks, measured=config.trainer.get("limit_val_batches") != 0)
    trainer: Trainer = instantiate(config.trainer, callbacks=list(callbacks.values()), logger=logger)
    loss, optim = instantiate(config.loss), instantiate(config.optim)
    stages = {name: instantiate(node) for name, node in (config.get("stages") or {}).items() if node is not None}
    image_encoder = instantiate(config.model.image_encoder)
    data: RetrievalDataModule = instantiate(config.data)
    data.use_model(image_encoder.preprocess)
    data.setup()
    data.require("train", "val")
    model = build_model(config.model, image_encoder, data.tokenizer.vocabulary)
    if (dim := model.text_encoder.wants_word_vectors) is not None:
        model.text_encoder.start_from(data.word_vectors(dim))
    resolved: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    plan = Plan(stages, len(model.image_encoder.blocks), len(model.text_encoder.blocks))
    module = RetrievalModule(
        model, loss, optim, data.tokenizer, data.preprocess, plan, config=resolved, seed=config.seed
    )
    module.run_ids |= run_ids
    if HydraConfig.initialized():
        module.overrides = list(HydraConfig.get().overrides.task)
    if checkpoint is not None:  # features are those of the weights that were frozen then
        module.on_load_checkpoint(content)  # another vocabulary's would not fit
        # Beside an average, the weights that learn are another entry.
        module.load_state_dict(content.get("current_model_state", content["state_dict"]))

    tags = {
        "data_fingerprint": data.fingerprint,
        "data_source": data.source,
        "output_dir": str(output_dir),
        "checkpoint": str(output_dir / "checkpoints" / "last.ckpt"),
    }
    with tracked(trainer.loggers, tags) as trackers:
        for tracker in trackers:
            module.run_ids["mlflow"] = str(tracker.run_id)
            tracker.log_inputs(resolved, data.tokenizer)
        for each in trainer.loggers:
            each.log_hyperparams(resolved)
        try:
            if checkpoint is None and config.baseline and not config.trainer.get("fast_dev_run"):
                for before in trainer.validate(module, data, verbose=False):
                    log.info("Before training: validation rsum %.1f", 100 * before["val/rsum"])
            if not config.trainer.get("fast_dev_run"):
                ahead = range(epochs_done(content) if checkpoint else 0, config.trainer.max_epochs)
                device = trainer.strategy.root_device
                data.features = cache_features(model.image_encoder, plan, data, device, ahead)
                data.text_features = cache_text_features(model.text_encoder, plan, data, device, ahead)
            trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
            metrics, best = measure(trainer, module, data)
        except SystemExit:  # Lightning's answer to Ctrl-C
            last = output_dir / "checkpoints" / "last.ckpt"
            log.info(
                "Go on with: python -m imtext.train ckpt_path=%s", last if last.is_file() else "<none was saved yet>"
            )
            raise KeyboardInterrupt from None
        except MisconfigurationException as error:  # what only the data tells, such as a share of no batch at all
            raise ConfigError(str(error)) from error
        metrics |= {"epochs": float(trainer.current_epoch), "seconds": round(time.monotonic() - started, 1)}
        path = write_metrics(metrics, output_dir)
        summary: EpochSummary | None = callbacks.get("summary")
        if summary is not None:
            summary.draw(output_dir / "curves.png")
        for tracker in trackers:
            tracker.log_results(output_dir, best)
            if checkpoint is None:  # of a resumed run it would be a part
                tracker.log_metrics({"minutes": metrics["seconds"] / 60})
        bundle = None
        if best is not None and config.bundle:  # after all else is safe
            from imtext.export import export

            log.info("Exporting the best model, and comparing it with this one on validation")
            about = {**tags, **source_tags(), "checkpoint": str(best)}
            try:
                export(load_model(best), data, output_dir / "bundle", metrics, about)
            except ImtextError as error:
                raise BundleError(
                    f"{error} The training is complete, see {path}. Once that is put right: imtext export {best}"
                ) from error
            bundle = output_dir / "bundle"
            for tracker in trackers:
                tracker.log_folder(bundle)
    since = "" if checkpoint is None else " since resuming"
    chosen = f"Best: epoch {metrics['best_epoch']:.0f}" if "best_epoch" in metrics else "The last epoch"
    print_results(metrics, f"{chosen} of {trainer.current_epoch}; {metrics['seconds']:.0f} s{since}")
    print(f"Checkpoint: {best or 'none kept'}")
    if bundle is not None:
        print(f"Bundle: {bundle}")
    print(f"Metrics: {path}", flush=True)
    return metrics, {"datamodule": data, "module": module, "trainer": trainer}


def check_trainer(settings: DictConfig) -> None:
    """Refuse what Lightning takes and then stumbles over.

    Raises:
        ConfigError: names the setting.
    """
    if not isinstance(settings.max_epochs, int) or settings.max_epochs < 1:
        raise ConfigError(
            f"trainer.max_epochs={settings.max_epochs}: max_epochs must be above zero, the learning rate is planned to "
            "the end"
        )
    for name in ("check_val_every_n_epoch", "accumulate_grad_batches", "log_every_n_steps"):
        if (value := settings.get(name)) is not None and value < 1:
            raise ConfigError(f"trainer.{name}={value}: it counts from 1")
    if settings.get("overfit_batches"):
        raise ConfigError("trainer.overfit_batches: use debug=overfit, which changes nothing else on the way")


def check_monitors(callbacks: Mapping[str, Any], measured: bool) -> None:
    """Refuse callbacks that wait for a figure of validation which will never come.

    Args:
        callbacks: by the names they have in the configuration.
        measured: is there a validation?

    Raises:
        ConfigError: names the callback, and the figure that was probably meant.
    """
    from imtext.evaluation.metrics import FIGURES

    known = [f"val/{name}" for name in (*FIGURES, "loss")]
    for name, callback in callbacks.items():
        wanted = str(getattr(callback, "monitor", None) or "")
        if wanted.startswith("val/") and not measured:
            raise ConfigError(
                f"callbacks.{name} waits for {wanted}, which trainer.limit_val_batches=0 never measures: "
                f"add callbacks.{name}=null"
            )
        if wanted and wanted not in known and not wanted.startswith("train/"):
            raise ConfigError(f"callbacks.{name}.monitor={wanted} is not measured.{did_you_mean(wanted, known)}")


def measure(
    trainer: Trainer, module: RetrievalModule, data: RetrievalDataModule
) -> tuple[dict[str, float], Path | None]:
    """Figures of the last epoch's training and of the best checkpoint on val and test; and that checkpoint."""
    from imtext.training.callbacks import EpochSummary
    from imtext.training.checkpoints import read_checkpoint

    summary = next((each for each in trainer.callbacks if isinstance(each, EpochSummary)), None)  # type: ignore[attr-defined]
    # Of a run that was resumed after its last epoch, Lightning has none.
    last = summary.history[-1] if summary is not None and summary.history else {}
    found = {**last, **{name: float(value) for name, value in trainer.callback_metrics.items()}}
    metrics = {name: value for name, value in found.items() if not name.endswith("_step") and name != "epoch"}
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return metrics, None
    kept = trainer.checkpoint_callback.best_model_path if trainer.checkpoint_callback else ""  # type: ignore[attr-defined]
    if kept:
        # Weights alone: through the trainer, callbacks would return to their state of that epoch as well.
        content = read_checkpoint(Path(kept))
        module.load_state_dict(content["state_dict"])
        metrics["best_epoch"] = float(content["epoch"] + 1)
    measured = trainer.validate(module, data, verbose=False)
    if len(data.rows["test"]) > 1:
        measured += trainer.test(module, data, verbose=False)
    else:
        log.info("The data has no test split; the figures are of validation.")
    for figures in measured:
        metrics |= figures
    return metrics, Path(kept) if kept else None


def task(config: DictConfig) -> float | None:
    """One run or one trial of a sweep; the figure a sweeper optimises."""
    wanted = config.optimized_metric
    metrics, _ = train(config)
    if wanted and wanted not in metrics:
        raise ConfigError(f"optimized_metric={wanted} was not measured; there are {', '.join(sorted(metrics))}")
    return metrics[wanted] if wanted else None


def main() -> None:
    """The command line."""
    launch("train", task, continue_last)


def continue_last(overrides: list[str]) -> list[str]:
    """Complete `ckpt_path=…`; imported late, it needs torch."""
    if not any(override.startswith("ckpt_path=") for override in overrides):
        return overrides
    from imtext.training.checkpoints import continue_run

    return continue_run(overrides)


if __name__ == "__main__":
    main()
