"""Lightning's trainer with its callbacks and logger, and checks for settings that it accepts and then fails on."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.loggers.logger import DummyLogger
from omegaconf import DictConfig

from imtext.config.instantiate import instantiate
from imtext.config.suggestions import did_you_mean
from imtext.errors import DISK_ERRORS, ConfigError, StoreError
from imtext.evaluation.definitions import metric_names
from imtext.training.callbacks import StopWhenDiverged

log = logging.getLogger(__name__)

# Warnings of Lightning about intended behaviour.
EXPECTED_WARNINGS = (
    ".*LeafSpec.*",  # a deprecation between Lightning and torch
    "Checkpoint directory .* exists and is not empty",  # always, when resuming
    r"Found \d+ module\(s\) in eval mode",  # frozen blocks
    "`ModelCheckpoint.* could not find the monitored key",  # in epochs without validation
    "The number of training batches .* is smaller than the logging interval",
    "FSDP2-wrapped module .* returned a view tensor",  # nothing changes it in place
)


def hide_expected_warnings() -> None:
    """Filter Lightning's warnings about intended behaviour."""
    for message in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)


def check_trainer(settings: DictConfig) -> None:
    """Refuse settings that Lightning accepts and then fails on.

    Raises:
        ConfigError: a setting is refused; the message names it.
    """
    if not isinstance(settings.max_epochs, int) or settings.max_epochs < 1:
        raise ConfigError(
            f"trainer.max_epochs={settings.max_epochs}: max_epochs must be above zero, because the learning rate is "
            "planned for all steps"
        )
    for name in ("check_val_every_n_epoch", "accumulate_grad_batches", "log_every_n_steps"):
        if (value := settings.get(name)) is not None and value < 1:
            raise ConfigError(f"trainer.{name}={value}: it must be at least 1")
    if settings.get("overfit_batches"):
        raise ConfigError("trainer.overfit_batches is not supported: use debug=overfit")


def check_monitors(callbacks: Mapping[str, Any], measured: bool) -> None:
    """Refuse callbacks that wait for a validation metric that is never measured.

    Args:
        callbacks: callbacks by their names in the configuration.
        measured: whether the run validates.

    Raises:
        ConfigError: a callback waits for an unknown metric; the message names the metric that was probably meant.
    """
    known = [f"val/{name}" for name in (*metric_names(), "loss")]
    for name, callback in callbacks.items():
        monitor = str(getattr(callback, "monitor", None) or "")
        if monitor.startswith("val/") and not measured:
            raise ConfigError(
                f"callbacks.{name} waits for {monitor}, which trainer.limit_val_batches=0 never measures: "
                f"add callbacks.{name}=null"
            )
        if monitor and monitor not in known and not monitor.startswith("train/"):
            raise ConfigError(f"callbacks.{name}.monitor={monitor} is not measured.{did_you_mean(monitor, known)}")


def build_trainer(config: DictConfig) -> Trainer:
    """Build callbacks, logger and trainer.

    Args:
        config: composed from `conf/train.yaml`, with an existing device.

    Raises:
        ConfigError: a setting is refused, or a callback waits for a metric that is never measured.
    """
    callbacks = build_each(config.get("callbacks"))
    logger = instantiate(config.logger) if config.get("logger") else DummyLogger()
    check_monitors(callbacks, measured=config.trainer.get("limit_val_batches") != 0)
    guard = StopWhenDiverged("optim.lr", config.optim.lr)
    trainer: Trainer = instantiate(config.trainer, callbacks=[guard, *callbacks.values()], logger=logger)
    return trainer


def build_each(group: DictConfig | None) -> dict[str, Any]:
    """Build the entries of a group by name, without those that are null."""
    return {str(name): instantiate(node) for name, node in (group or {}).items() if node is not None}


@contextmanager
def explain_stop(output_dir: Path, resume: str | None = None) -> Iterator[None]:
    """Translate the exceptions with which Lightning ends a run early.

    Args:
        output_dir: folder of the run.
        resume: the command that resumes the run; None for the one of `imtext.train`.

    Raises:
        KeyboardInterrupt: after Ctrl-C; the command to resume is logged.
        ConfigError: a setting does not fit the data, such as a share of less than one batch.
        StoreError: the disk is full; the command to resume is in the message.
    """
    try:
        yield
    except SystemExit:  # Lightning exits on Ctrl-C
        last = output_dir / "checkpoints" / "last.ckpt"
        shown = last if last.is_file() else "<none was saved yet>"
        log.info("Resume with: %s", resume or f"python -m imtext.train ckpt_path={shown}")
        raise KeyboardInterrupt from None
    except MisconfigurationException as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        last = output_dir / "checkpoints" / "last.ckpt"
        if error.errno not in DISK_ERRORS or not last.is_file():
            raise
        resume = resume or f"python -m imtext.train ckpt_path={last}"
        raise StoreError(
            f"{error.strerror}. The last whole checkpoint is kept; once there is space: {resume}"
        ) from error
