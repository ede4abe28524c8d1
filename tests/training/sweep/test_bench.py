"""Many trainings in one process equal separate ones."""

from __future__ import annotations

import logging

import pytest
from omegaconf import DictConfig

from imtext.errors import ConfigError
from imtext.train import train
from imtext.training.sweep.bench import Bench, warnings_only
from tests.conftest import Compose
from tests.runs import QUICK

AVERAGE = ["+callbacks.average._target_=imtext.training.callbacks.AverageWeights", "+callbacks.average.decay=0.9"]
SETTINGS = {
    "everything learns": [],
    "averaged, lower blocks frozen and cached": [*AVERAGE, "stages=frozen", "stages.heads.frozen_blocks=4"],
    "frozen and cached": ["stages=frozen", "stages.heads.views=2", "model.mirror=true"],
    "frozen text": ["stages=frozen", "+stages.heads.frozen_text_blocks=all", "+stages.heads.cache_text=true"],
}


def config(compose: Compose, *more: str, output: str = "run") -> DictConfig:
    # One validation, so that the best epoch of a separate training is the last one, too.
    return compose(*QUICK, "optim.lr=3e-3", "trainer.max_epochs=2", "trainer.check_val_every_n_epoch=2", *more,
                   output=output)  # fmt: skip


def test_trials_equal_separate_trainings(compose: Compose) -> None:
    bench = Bench()
    for number, (name, settings) in enumerate(SETTINGS.items()):
        ours = bench.run(config(compose, *settings))
        theirs, _ = train(config(compose, *settings, output=f"run{number}"))
        assert ours["train/loss"] == pytest.approx(theirs["train/loss_epoch"]), name
        for metric in (metric for metric in ours if metric.startswith("val/")):
            assert ours[metric] == pytest.approx(theirs[metric], abs=1e-5), (name, metric)


def test_the_order_of_trials_makes_no_difference(compose: Compose) -> None:
    settings = [config(compose, *more) for more in (["seed=1"], ["stages=frozen"], ["data.batch_size=4"])]
    forward, backward = Bench(), Bench()
    ours = [forward.run(each) for each in settings]
    theirs = [backward.run(each) for each in reversed(settings)][::-1]
    for one, other in zip(ours, theirs, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_comparing_changes_nothing(compose: Compose) -> None:
    seen: list[tuple[int, float]] = []
    for settings in (["trainer.max_epochs=3"], ["trainer.max_epochs=3", "stages=frozen", "model.hubness_bank=8"]):
        alone = Bench().run(config(compose, *settings))
        compared = Bench().run(config(compose, *settings), lambda epoch, found: seen.append((epoch, found["val/rsum"])))
        assert {**alone, "seconds": 0} == {**compared, "seconds": 0}
    assert [epoch for epoch, _ in seen] == [0, 1, 0, 1]

    def stop(epoch: int, metrics: object) -> None:
        raise KeyError(epoch)

    with pytest.raises(KeyError):
        Bench().run(config(compose), stop)


def test_nothing_is_resumed(compose: Compose) -> None:
    with pytest.raises(ConfigError, match="ckpt_path"):
        Bench().run(config(compose, "ckpt_path=last"))


def test_only_warnings_of_later_trials(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("imtext.test")
    with caplog.at_level(logging.INFO), warnings_only():
        log.info("hidden")
        log.warning("shown")
    log.info("after")
    assert caplog.messages[:1] == ["shown"]
    assert "hidden" not in caplog.messages
