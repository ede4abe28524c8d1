from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from imtext.data.loading import loader_settings


def trainer(device: str) -> Any:
    return SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))


@pytest.mark.parametrize(("device", "wanted", "workers"), [("cpu", "auto", 0), ("mps", "auto", 3), ("cpu", 2, 2)])
def test_workers_by_device(monkeypatch: pytest.MonkeyPatch, device: str, wanted: Any, workers: int) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert loader_settings(trainer(device), wanted)["num_workers"] == workers


def test_without_a_trainer_it_is_the_cpu() -> None:
    assert loader_settings(None, "auto") == {"num_workers": 0, "pin_memory": False}
