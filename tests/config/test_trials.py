"""Lists of trials as composed configurations."""

from __future__ import annotations

import pytest
from omegaconf import DictConfig, OmegaConf

from imtext.config.trials import last_of_each, trials_of, without_sweep
from imtext.errors import ConfigError


def listed(*trials: str, seeds: tuple[int, ...] = (1, 2), base: tuple[str, ...] = ("optim.lr=1e-3",)) -> DictConfig:
    return OmegaConf.create({"base": list(base), "seeds": list(seeds), "trials": list(trials)})


def test_seeds_outside_and_later_overrides_win() -> None:
    trials = trials_of(listed("", "loss=siglip optim.lr=5e-3"), ["optim.lr=2e-3", "data=shapes"])
    assert [(each.name, each.seed) for each in trials] == [
        ("", 1), ("loss=siglip optim.lr=5e-3", 1), ("", 2), ("loss=siglip optim.lr=5e-3", 2),
    ]  # fmt: skip
    assert [each.config.optim.lr for each in trials] == [2e-3, 5e-3, 2e-3, 5e-3]
    assert [each.config.data.seed for each in trials] == [1, 1, 2, 2]
    assert [each.config.loss._target_.split(".")[-1] for each in trials[:2]] == ["InfoNCE", "SigLIP"]
    assert trials[1].overrides == ("optim.lr=5e-3", "data=shapes", "loss=siglip")


def test_a_group_may_be_chosen_again() -> None:
    trials = trials_of(listed("model/text_encoder=gru", base=("experiment=quickstart",)), ["model/text_encoder=bow"])
    assert trials[0].config.model.text_encoder._target_.endswith("GRUEncoder")


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        (listed("loss=siglip", "loss=siglip "), "sweep.trials has loss=siglip twice"),
        (listed("", seeds=(3, 3)), "sweep.seeds has 3 twice"),
        (listed(), "sweep.trials is empty"),
        (listed("", seeds=()), "sweep.seeds is empty"),
        (OmegaConf.create({"base": [], "seeds": [1], "trials": "???"}), "sweep.trials is needed"),
        (listed("", "loss=siglp"), "Did you mean siglip"),
        (listed("", "optim.rl=1"), "no setting called optim.rl"),
        (listed("", "optim.lr=fast"), "optim.lr=fast"),
    ],
)
def test_mistakes_are_found_before_anything_runs(sweep: DictConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        trials_of(sweep, [])


def test_overrides_of_the_sweep_itself_are_left_out() -> None:
    given = ["sweep=tricks", "sweep.seeds=[1,2]", "+sweep.trials=[]", "data=shapes", "+tags.sweep=x"]
    assert without_sweep(given) == ["data=shapes", "+tags.sweep=x"]
    assert last_of_each(["a=1", "b=2", "a=3"]) == ["a=3", "b=2"]
