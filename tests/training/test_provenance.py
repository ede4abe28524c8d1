"""The origin of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from imtext.training.provenance import run_name, source_tags, sweep_tags


def test_command_and_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/train.py", "data.path=/photos", "seed=1"])
    tags = source_tags()
    assert tags["command"] == "train.py data.path=/photos seed=1"
    assert tags["mlflow.source.name"] == "train.py"
    if (Path(__file__).parents[2] / ".git").exists():
        assert len(tags["git_commit"]) == 40
        assert tags["git_dirty"] in ("true", "false")


def test_without_git_the_command_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert source_tags().keys() == {"command", "mlflow.source.name", "mlflow.source.type"}


def hydra(monkeypatch: pytest.MonkeyPatch, mode: RunMode, params: dict[str, str] | None = None) -> None:
    """Pretend that Hydra runs trial 3 of a sweep over `optim.lr`, or a single run."""
    config: Any = SimpleNamespace(
        mode=mode, sweeper={"params": params}, job=SimpleNamespace(num=3), sweep=SimpleNamespace(dir="/runs/sweeps/S"),
        overrides=SimpleNamespace(task=["optim.lr=1e-3", "seed=1"]),
        runtime=SimpleNamespace(choices={"model": "mobilenet_lstm", "data": "shapes"}),
    )  # fmt: skip
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: config)


def test_a_run_is_named_after_model_and_data(monkeypatch: pytest.MonkeyPatch) -> None:
    hydra(monkeypatch, RunMode.RUN)
    assert run_name() == "mobilenet_lstm on shapes"
    assert sweep_tags() == {}


def test_a_trial_is_named_after_what_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", "optim.lr=1e-3,1e-2", "seed=1"])
    hydra(monkeypatch, RunMode.MULTIRUN)
    assert run_name() == "optim.lr=1e-3"
    assert sweep_tags() == {"sweep": "S", "trial": "3"}


def test_a_trial_of_a_prepared_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "sweep=optim"])
    hydra(monkeypatch, RunMode.MULTIRUN, {"seed": "1,2"})
    assert run_name() == "seed=1"


def test_outside_of_hydra() -> None:
    assert run_name() == "run"
    assert sweep_tags() == {}
