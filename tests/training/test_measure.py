"""The metrics of a finished run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from imtext.training.callbacks import EpochSummary
from imtext.training.measure import measure, summary_of


class Module:
    """Records the weights that it was given."""

    model = SimpleNamespace(hubness=None)
    loaded: Any = None
    seen: Any = None

    def on_load_checkpoint(self, content: Any) -> None:
        self.seen = content["epoch"]

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, weights: Any) -> None:
        self.loaded = weights


def trainer(callbacks: list[Any], best: str = "", values: dict[str, float] | None = None) -> Any:
    return SimpleNamespace(
        callbacks=callbacks,
        callback_metrics={name: torch.tensor(value) for name, value in (values or {}).items()},
        checkpoint_callback=SimpleNamespace(best_model_path=best),
        fast_dev_run=False,
        validate=lambda *_, **__: [{"val/rsum": 2.0}],
        test=lambda *_, **__: [{"test/rsum": 3.0}],
    )


def data(test: int = 4) -> Any:
    return SimpleNamespace(rows={"test": list(range(test))})


def test_the_best_checkpoint_is_measured(tmp_path: Path) -> None:
    best = tmp_path / "best.ckpt"
    torch.save({"imtext": {"format": 2}, "state_dict": {"weight": 1}, "epoch": 4}, best)
    module: Any = Module()
    last = {"loss": 1.5, "loss_step": 9.0, "epoch": 7.0}
    metrics, path = measure(trainer([], str(best), last), module, data())
    assert module.loaded == {"weight": 1}
    assert module.seen == 4  # the module may leave out weights that are not its own
    assert path == best
    assert metrics == {"loss": 1.5, "best_epoch": 5.0, "val/rsum": 2.0, "test/rsum": 3.0}


def test_without_a_checkpoint_the_last_epoch_is_measured() -> None:
    module: Any = Module()
    metrics, path = measure(trainer([]), module, data())
    assert module.loaded is None
    assert path is None
    assert metrics == {"val/rsum": 2.0, "test/rsum": 3.0}


def test_without_a_test_split_there_is_validation(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "imtext")
    module: Any = Module()
    assert measure(trainer([]), module, data(test=0))[0] == {"val/rsum": 2.0}
    assert "no test split" in caplog.text


def test_one_step_is_not_measured_again() -> None:
    module: Any = Module()
    smoke = trainer([], values={"train/loss": 1.0})
    smoke.fast_dev_run = 1
    assert measure(smoke, module, data()) == ({"train/loss": 1.0}, None)


def test_a_run_resumed_after_its_end_has_its_history() -> None:
    summary = EpochSummary()
    summary.history = [{"epoch": 1, "train/loss_epoch": 2.0}, {"epoch": 2, "train/loss_epoch": 1.0}]
    module: Any = Module()
    assert measure(trainer([summary]), module, data())[0]["train/loss_epoch"] == 1.0
    assert summary_of(trainer([summary])) is summary
    assert summary_of(trainer([])) is None
