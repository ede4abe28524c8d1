"""The search space of a study."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from omegaconf import OmegaConf

from imtext.config.compose import compose_config
from imtext.config.space import Choice, Range, check_space, is_study, read_space, searched
from imtext.errors import ConfigError

SPACE = {
    "optim.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "model": {"embed_dim": [128, 256], "dropout": {"low": 0.0, "high": 0.5, "step": 0.1}},
    "loss": ["infonce", "siglip"],
    "trainer.max_epochs": {"low": 2, "high": 9},
    "data.augment.crop_scale": [[0.6, 1.0], [0.8, 1.0]],
    "data.augment.flip": [True, False],
    "data.image_size": [None, 32],
}


def test_a_trial_chooses() -> None:
    parameters = read_space(SPACE)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(8):
        chosen = dict(each.suggest(trial).split("=", 1) for trial in [study.ask()] for each in parameters)
        assert 1e-4 <= float(chosen["optim.lr"]) <= 1e-2
        assert chosen["model.embed_dim"] in ("128", "256")
        assert round(float(chosen["model.dropout"]) * 10, 6) in range(6)
        assert chosen["loss"] in ("infonce", "siglip")
        assert int(chosen["trainer.max_epochs"]) in range(2, 10)
        assert chosen["data.augment.crop_scale"] in ("[0.6,1.0]", "[0.8,1.0]")
        assert chosen["data.augment.flip"] in ("true", "false")
        assert chosen["data.image_size"] in ("null", "32")
        config = compose_config("train", [f"{name}={value}" for name, value in chosen.items()])
        assert config.optim.lr == pytest.approx(float(chosen["optim.lr"]))
    check_space(parameters, [], [])


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"optim.lr": 3}, "optim.lr: 3 is neither a list nor a range"),
        ({"optim.lr": []}, "optim.lr has no values"),
        ({"loss": ["siglip", "siglip"]}, "loss has a value twice"),
        ({"optim.lr": {"low": 1}}, "low and high are needed"),
        ({"optim.lr": {"low": 1, "high": 2, "logs": True}}, "logs is unknown"),
        ({"optim.lr": {"low": 2, "high": 1}}, "not two numbers in ascending order"),
        ({"optim.lr": {"low": "a", "high": 1}}, "not two numbers in ascending order"),
        ({"optim.lr": {"low": 0, "high": 1, "log": True}}, "with log, low must be above 0"),
        ({"optim.lr": {"low": 1, "high": 4, "step": 0.5}}, "step=0.5 must be above 0, and an integer"),
    ],
)
def test_mistakes(space: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_space(space)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "sweep.space is empty"),
        ({"optim.rl": [1]}, "no setting called optim.rl"),
        ({"loss": ["infonce", "siglop"]}, "There is no loss=siglop"),
        ({"model.embed_dim": [128, "large"]}, "model.embed_dim=large"),
        ({"seed": [1, 2]}, "seed is in sweep.space and on the command line"),
    ],
)
def test_mistakes_are_found_before_anything_runs(space: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_space(read_space(space), ["data=shapes", "seed=3"], ["seed=3"])


def test_sweeps_of_hydra() -> None:
    given = [
        "sweep=optuna", "data=shapes", "optim.lr=tag(log, interval(1e-4, 1e-2))", "loss=infonce,siglip",
        "trainer.max_epochs=range(2,6)", "data.augment.crop_scale=choice([0.6,1.0],[0.8,1.0])",
        "model.embed_dim=tag(int, interval(8, 16))",
    ]  # fmt: skip
    assert is_study(given)
    assert not is_study(["sweep=tricks"])
    assert not is_study(["sweep.trials=['']"])
    overrides = searched(given)
    assert overrides[:2] == ["sweep=optuna", "data=shapes"]
    space: Any = OmegaConf.to_container(compose_config("sweep", overrides).sweep.space)
    assert read_space(space) == [
        Range("optim.lr", 1e-4, 1e-2, log=True),
        Choice("loss", ("infonce", "siglip")),
        Range("trainer.max_epochs", 2, 5, step=1),
        Choice("data.augment.crop_scale", ("[0.6,1.0]", "[0.8,1.0]")),
        Range("model.embed_dim", 8, 16),
    ]
    with pytest.raises(ConfigError, match="list the values"):
        searched(["loss=glob(*)"])


@pytest.mark.parametrize(
    ("sweep", "last"),
    [("range(1,10,2)", 9), ("range(1,9,2)", 7), ("range(0,0.6,0.25)", 0.5)],
)
def test_ranges_keep_their_last_value(sweep: str, last: float) -> None:
    space: Any = OmegaConf.to_container(
        compose_config("sweep", searched(["sweep=optuna", f"trainer.max_epochs={sweep}"])).sweep.space
    )
    (found,) = read_space(space)
    assert isinstance(found, Range)
    assert found.high == last


@pytest.mark.parametrize(
    ("parameter", "value", "written"),
    [
        (Range("model.dropout", 0.0, 0.99999), 0.99996, "0.99996"),
        (Range("model.dropout", 0.0, 1.0), 0.123456, "0.1235"),
        (Range("model.dropout", 0.12344, 1.0), 0.12344, "0.12344"),
        (Range("model.dropout", 0.0, 1.0, step=0.00001), 0.12346, "0.12346"),
    ],
)
def test_values_are_rounded_inside_of_their_range(parameter: Range, value: float, written: str) -> None:
    trial = optuna.trial.FixedTrial({"model.dropout": value})
    assert parameter.suggest(trial) == f"model.dropout={written}"  # type: ignore[arg-type]
