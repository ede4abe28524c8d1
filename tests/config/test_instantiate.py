"""Objects are built from trusted classes only."""

from __future__ import annotations

import pytest

from imtext.config.instantiate import instantiate, locate, target_nodes
from imtext.errors import ConfigError


@pytest.mark.parametrize(
    "target",
    ["os.system", "builtins.eval", "imtext.config.compose.os.system", "imtext.config.instantiate.import_module",
     "imtext.nothing.Here", "subprocess.Popen", "torch.load", "torch.hub.load",
     "lightning.pytorch.Trainer.__init__.__globals__"],
)  # fmt: skip
def test_untrusted_targets_are_refused(target: str) -> None:
    with pytest.raises(ConfigError):
        instantiate({"_target_": target})


def test_a_package_can_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="IMTEXT_TRUSTED_MODULES=fractions"):
        locate("fractions.Fraction")
    monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "fractions")
    assert instantiate({"_target_": "fractions.Fraction", "numerator": 1, "denominator": 2}) == 0.5


def test_the_error_of_a_constructor_is_passed_on() -> None:
    with pytest.raises(ConfigError, match=r"^optim\.lr must be above zero, not -1"):
        instantiate({"_target_": "imtext.training.optim.AdamW", "lr": -1})


def test_the_error_of_a_nested_constructor_is_passed_on() -> None:
    nested = {"_target_": "imtext.training.optim.AdamW", "lr": -1}
    with pytest.raises(ConfigError, match=r"^optim\.lr must be above zero"):
        instantiate({"_target_": "torch.nn.Sequential", "_args_": [nested]})


def test_extra_arguments_replace_those_of_the_configuration() -> None:
    optim = instantiate({"_target_": "imtext.training.optim.AdamW", "lr": 1.0}, lr=0.5)
    assert optim.lr == 0.5


def test_target_nodes_are_found_in_dictionaries_and_lists() -> None:
    config = {"_target_": "a", "b": [{"c": {"_target_": "d"}}]}
    assert [(path, node["_target_"]) for path, node in target_nodes(config)] == [("", "a"), ("b[0].c", "d")]
