"""The device and the precision of a run."""

from __future__ import annotations

import logging

import pytest
import torch
from omegaconf import OmegaConf

from imtext.errors import ConfigError
from imtext.training.devices import resolve_accelerator, resolve_precision, settle_device
from tests.conftest import Compose


@pytest.fixture
def available(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Simulate the accelerators of a machine."""
    names: set[str] = set()
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
    return names


@pytest.mark.parametrize(
    ("here", "wanted", "found"),
    [
        ((), "auto", "cpu"),
        (("cuda",), "auto", "cuda"),
        (("mps",), "auto", "mps"),
        (("cuda",), "gpu", "cuda"),
        (("cuda",), "cpu", "cpu"),
    ],
)
def test_the_best_accelerator_is_chosen(available: set[str], here: tuple[str, ...], wanted: str, found: str) -> None:
    available.update(here)
    assert resolve_accelerator(wanted) == found


@pytest.mark.parametrize("wanted", ["mps", "cuda", "gpu"])
def test_a_missing_accelerator_is_a_warning(available: set[str], wanted: str, caplog: pytest.LogCaptureFixture) -> None:
    assert not available
    assert resolve_accelerator(wanted) == "cpu"
    assert f"trainer.accelerator={wanted}" in caplog.text


def test_an_unknown_accelerator_is_refused() -> None:
    with pytest.raises(ConfigError, match="auto, cpu, gpu, cuda or mps, not 'tpu'"):
        resolve_accelerator("tpu")


def test_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_precision("auto", "cpu") == resolve_precision("auto", "mps") == "32-true"
    assert resolve_precision("16-mixed", "cuda") == "16-mixed"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert resolve_precision("auto", "cuda") == "bf16-mixed"


def test_tiny_numbers_count_as_zero(available: set[str]) -> None:
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot")
    tiny = torch.full((64,), 1e-30)
    assert (tiny * 1e-10).any()
    settle_device(OmegaConf.create({"accelerator": "cpu", "precision": "auto", "devices": 1}))
    assert not (tiny * 1e-10).any()


def test_settings_are_settled(available: set[str]) -> None:
    settings = OmegaConf.create({"accelerator": "auto", "precision": "auto", "devices": 1})
    settle_device(settings)
    assert settings == {"accelerator": "cpu", "precision": "32-true", "devices": 1}


@pytest.mark.parametrize("devices", [2, -1, "2"])
def test_several_devices_need_a_strategy(devices: int | str) -> None:
    with pytest.raises(ConfigError, match=f"trainer.devices={devices}: several devices need trainer=ddp"):
        settle_device(OmegaConf.create({"accelerator": "cpu", "precision": "auto", "devices": devices}))


def test_several_processes(available: set[str], compose: Compose) -> None:
    settings = compose("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2").trainer
    settle_device(settings, several=True)
    assert settings.strategy == "ddp_find_unused_parameters_true"
    available.add("cuda")
    settings = compose("trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=2").trainer
    settle_device(settings, several=True)
    assert settings.strategy == {"_target_": "imtext.training.sharding.FullySharded"}
    assert settings.inference_mode is False
    settings = compose("trainer=ddp", "trainer.precision=32-true").trainer
    settle_device(settings, several=True)
    assert (settings.accelerator, settings.devices) == ("cuda", "auto")
    with pytest.raises(ConfigError, match="only single trainings"):
        settle_device(settings)


@pytest.mark.parametrize(
    ("here", "overrides", "message"),
    [
        ("cpu", [], "no GPU here. Name the number of processes on the CPU: trainer.devices=2"),
        ("mps", [], "the GPU of a Mac is one device"),
        ("cpu", ["trainer.devices=2", "trainer.strategy=ddp2"], "takes auto, ddp or fsdp, not 'ddp2'"),
        ("cpu", ["trainer.devices=2", "+trainer.sync_batchnorm=true"], "train_batch_norm=false"),
    ],
)
def test_processes_that_cannot_be(
    available: set[str], compose: Compose, here: str, overrides: list[str], message: str
) -> None:
    available.add(here)
    with pytest.raises(ConfigError, match=message):
        settle_device(compose("trainer=ddp", *overrides).trainer, several=True)


def test_processes_that_help_are_silent(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("imtext.training.devices.is_rank_zero", lambda: False)
    root = logging.getLogger()
    level = root.level
    try:
        settle_device(OmegaConf.create({"accelerator": "cpu", "precision": "auto", "devices": 1}))
        assert root.level == logging.ERROR
    finally:
        root.setLevel(level)
