"""Trials that end in every way."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from omegaconf import DictConfig
from optuna.pruners import ThresholdPruner
from optuna.trial import TrialState

from imtext.config.space import read_space
from imtext.errors import ConfigError, DataError
from imtext.training.sweep.study.queue import PUT_BACK, ended, error_of, metrics_of
from imtext.training.sweep.study.worker import Worker
from tests.conftest import Compose
from tests.training.sweep.study.studies import open_queue

SPACE = {"optim.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
Outcome = Callable[[Callable[[int, Mapping[str, float]], None]], float]


def worker_of(compose: Compose, folder: Path, outcomes: list[Outcome]) -> tuple[optuna.Study, Worker]:
    """A worker whose trials train nothing."""
    study, queue = open_queue(f"sqlite:///{folder}/study.db", folder, len(outcomes))
    study.pruner = ThresholdPruner(lower=0.1)
    config = compose("data=shapes", "logger=none")
    worker = Worker(study, queue, config, ["data=shapes"], read_space(SPACE), "val/rsum", len(outcomes))
    turns = iter(outcomes)

    class Bench:
        def run(self, config: DictConfig, compare: Any) -> dict[str, float]:
            assert config.paths.root == str(folder)
            return {"val/rsum": next(turns)(compare), "seconds": 1.0}

    worker._bench = Bench()  # type: ignore[assignment]
    return study, worker


def raises(error: BaseException) -> Outcome:
    def outcome(compare: object) -> float:
        raise error

    return outcome


def prune(compare: Callable[[int, Mapping[str, float]], None]) -> float:
    for epoch in itertools.count():
        compare(epoch, {"val/rsum": 0.5 - 0.25 * epoch})
    raise AssertionError


def test_every_end(compose: Compose, tmp_path: Path) -> None:
    study, worker = worker_of(
        compose,
        tmp_path,
        [
            lambda compare: 0.5,
            prune,
            raises(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")),
            lambda compare: float("nan"),
            raises(ConfigError("embed_dim does not fit")),
            lambda compare: 0.7,
        ],
    )
    worker.work()
    states = [each.state.name for each in study.trials]
    assert states == ["COMPLETE", "PRUNED", "FAIL", "FAIL", "FAIL", "COMPLETE"]
    errors = [error_of(each) for each in study.trials]
    assert errors[2].startswith("CUDA out of memory")
    assert errors[3:5] == ["val/rsum is nan", "embed_dim does not fit"]
    assert metrics_of(study.trials[1]) == {"val/rsum": 0.0}
    assert len(ended(study.trials)) == 6


@pytest.mark.parametrize("error", [DataError("there is no such folder"), KeyboardInterrupt()])
def test_what_is_wrong_with_the_machine_puts_the_trial_back(
    compose: Compose, tmp_path: Path, error: BaseException
) -> None:
    study, worker = worker_of(compose, tmp_path, [raises(error)])
    with pytest.raises(type(error)):
        worker.work()
    assert ended(study.trials) == []
    assert study.trials[0].user_attrs[PUT_BACK] is True
    again, worker = worker_of(compose, tmp_path, [lambda compare: 0.5])
    worker.work()
    assert [each.state for each in again.trials] == [TrialState.FAIL, TrialState.COMPLETE]
    assert again.trials[0].params == again.trials[1].params


def test_a_trial_whose_data_cannot_be_read_twice_has_failed(compose: Compose, tmp_path: Path) -> None:
    study, worker = worker_of(compose, tmp_path, [raises(DataError("data.head=1 is too few"))] * 2)
    with pytest.raises(DataError):
        worker.work()
    outcomes = [raises(DataError("data.head=1 is too few")), lambda compare: 0.5]
    worker_of(compose, tmp_path, outcomes)[1].work()
    assert [error_of(each) for each in ended(study.trials)] == ["data.head=1 is too few", ""]


def test_without_mlflow_a_study_goes_on(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def dead(*args: object) -> None:
        raise ConnectionError("the server does not answer\nand more")

    monkeypatch.setattr("imtext.training.sweep.study.worker.track", dead)
    study, worker = worker_of(compose, tmp_path, [lambda compare: 0.5])
    worker.work()
    assert len(ended(study.trials)) == 1
    assert caplog.messages.count("Not yet in MLflow: the server does not answer") == 2, "at the start and after a trial"
