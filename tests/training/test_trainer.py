"""Checks for settings that Lightning accepts and then fails on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers.logger import DummyLogger
from omegaconf import OmegaConf

from imtext.errors import ConfigError
from imtext.training.trainer import build_trainer, check_monitors, check_trainer, explain_stop
from tests.conftest import Compose
from tests.runs import QUICK


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_epochs": -1}, "max_epochs must be above zero"),
        ({"max_epochs": None}, "max_epochs must be above zero"),
        ({"check_val_every_n_epoch": 0}, "at least 1"),
        ({"accumulate_grad_batches": 0}, "at least 1"),
        ({"overfit_batches": 1}, "debug=overfit"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    check_trainer(OmegaConf.create({"max_epochs": 1, "check_val_every_n_epoch": None}))
    with pytest.raises(ConfigError, match=message):
        check_trainer(OmegaConf.create({"max_epochs": 1, **changes}))


def test_monitors_must_be_measured() -> None:
    def check(monitor: str | None, measured: bool = True) -> None:
        check_monitors({"best": SimpleNamespace(monitor=monitor), "summary": object()}, measured)

    for known in ("val/rsum", "val/t2i_r@10", "val/loss", "train/loss", None):
        check(known)
    check(None, measured=False)
    with pytest.raises(
        ConfigError, match=r"callbacks\.best\.monitor=val/t2i_r10 is not measured\. Did you mean val/t2"
    ):
        check("val/t2i_r10")
    with pytest.raises(ConfigError, match=r"callbacks\.best waits for val/rsum"):
        check("val/rsum", measured=False)


def test_null_callbacks_and_loggers_are_left_out(compose: Compose) -> None:
    config = compose(*QUICK, "~logger", "callbacks.best=null")
    config.trainer.precision = "32-true"
    trainer = build_trainer(config)
    assert isinstance(trainer.logger, DummyLogger)
    assert not [each for each in trainer.checkpoint_callbacks if getattr(each, "monitor", None) == "val/rsum"]


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "imtext")
    with pytest.raises(KeyboardInterrupt), explain_stop(tmp_path):
        raise SystemExit
    assert "none was saved yet" in caplog.text
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    last.touch()
    with pytest.raises(KeyboardInterrupt), explain_stop(tmp_path):
        raise SystemExit
    assert f"ckpt_path={last}" in caplog.text


def test_lightnings_complaints_are_errors_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no batch"), explain_stop(tmp_path):
        raise MisconfigurationException("no batch")
