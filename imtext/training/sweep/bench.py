"""Train many trials in one process, and measure each on validation."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from omegaconf import DictConfig, OmegaConf, open_dict

from imtext.config.paths import CONFIG_DIR
from imtext.data.reuse import ReadOnce
from imtext.errors import ConfigError
from imtext.training.devices import settle_device
from imtext.training.features import cache_features
from imtext.training.run import Run, build_run
from imtext.training.sweep.held_out import HeldOut
from imtext.training.text_features import cache_text_features
from imtext.training.trainer import check_trainer, hide_expected_warnings

# Callbacks that record a run, stop it early or choose its best epoch. Every trial trains all its epochs.
RECORDERS = [name for name in OmegaConf.load(CONFIG_DIR / "callbacks" / "default.yaml") if name != "progress"]

Compare = Callable[[int, Mapping[str, float]], None]


class _Comparing(Callback):
    """Measures validation between two epochs, with all weights as they are."""

    def __init__(self, compare: Callable[[int], None]) -> None:
        self._compare = compare

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See `Bench.run`."""
        if trainer.current_epoch + 1 < (trainer.max_epochs or 0):
            self._compare(trainer.current_epoch)


class Bench:
    """Trains trials one after the other, which share whatever does not depend on their settings.

    Data is read once, and so are the validation pictures after the frozen blocks. Nothing is written but cached
    features: no checkpoints, pictures or bundles. A trial is measured once, after its last epoch, so that no epoch is
    chosen by the split that compares the trials.
    """

    def __init__(self) -> None:
        self._data, self._held_out = ReadOnce(), HeldOut()
        self._quiet = False

    def run(self, config: DictConfig, compare: Compare | None = None) -> dict[str, float]:
        """Train one trial.

        Args:
            config: composed from `conf/train.yaml` and checked.
            compare: called after every epoch but the last one, with its number and the metrics of validation; an error
                that it raises ends the trial.

        Returns:
            Metrics of validation, as `val/t2i_r@10`; `train/loss` of the last epoch; `seconds`.

        Raises:
            ImtextError: a setting or the data is wrong.
            KeyboardInterrupt: stopped by Ctrl-C.
        """
        started = time.monotonic()
        with warnings_only() if self._quiet else nullcontext():
            run = self._prepare(config)
            self._quiet = True  # the data and the device are the same in every trial
            if compare is not None:
                run.trainer.callbacks.append(_Comparing(lambda epoch: compare(epoch, self._measure(run))))  # type: ignore[attr-defined]
            self._fit(run)
            metrics = self._measure(run)
        loss = float(run.trainer.callback_metrics["train/loss_epoch"])
        return {**metrics, "train/loss": loss, "seconds": round(time.monotonic() - started, 1)}

    def _measure(self, run: Run) -> dict[str, float]:
        return {f"val/{name}": value for name, value in self._held_out.measure(run).items()}

    def _prepare(self, config: DictConfig) -> Run:
        if config.ckpt_path is not None:
            raise ConfigError("ckpt_path: a trial of a sweep starts anew")
        config = config.copy()
        config.logger = None
        for name in RECORDERS:
            config.callbacks[name] = None
        with open_dict(config.trainer):
            config.trainer.update({"limit_val_batches": 0, "enable_checkpointing": False})
            config.trainer.enable_progress_bar = config.callbacks.get("progress") is not None  # not Lightning's own
        hide_expected_warnings()
        check_trainer(config.trainer)
        settle_device(config.trainer)
        seed_everything(config.seed, verbose=False)
        settings: Any = OmegaConf.to_container(config.data, resolve=True)
        return build_run(config, partial(self._data.setup, settings=settings))

    def _fit(self, run: Run) -> None:
        device, epochs = run.trainer.strategy.root_device, range(run.config["trainer"]["max_epochs"])
        model, plan = run.module.model, run.module.plan
        run.data.features = cache_features(model.image_encoder, plan, run.data, device, epochs)
        run.data.text_features = cache_text_features(model.text_encoder, plan, run.data, device, epochs)
        try:
            run.trainer.fit(run.module, run.data)
        except SystemExit:  # Lightning exits on Ctrl-C
            raise KeyboardInterrupt from None


@contextmanager
def warnings_only() -> Iterator[None]:
    """Hide what every trial would say again."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
