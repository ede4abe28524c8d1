"""Every configuration composes; unknown settings and options are refused with a suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.config.compose import check_overrides, compose_config, groups, parse_overrides
from imtext.config.paths import CONFIG_DIR
from imtext.config.schema import check_config
from imtext.errors import ConfigError

OPTIONS = [(group, path.stem) for group in groups() for path in sorted((CONFIG_DIR / group).glob("*.yaml"))]


def test_groups_cover_every_file() -> None:
    expected = {"data", "model", "loss", "optim", "trainer", "callbacks", "logger", "experiment", "sweep", "debug"}
    assert expected | {"paths", "stages"} <= set(groups())
    files = [path for path in CONFIG_DIR.rglob("*.yaml") if "hydra" not in path.relative_to(CONFIG_DIR).parts]
    assert len(OPTIONS) == len(files) - len(list(CONFIG_DIR.glob("*.yaml"))) >= 20


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes(group: str, option: str) -> None:
    override = f"{group}={option}"
    if override in ("data=default", "data=as_trained"):
        check_config(compose_config("evaluate", [override, "ckpt_path=x"]), "evaluate")
    else:
        check_config(compose_config("train", [override]))


def test_a_value_that_must_be_given_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="ckpt_path is needed: give ckpt_path=…"):
        check_overrides("evaluate", [])


def test_evaluate_composes() -> None:
    check_config(compose_config("evaluate", ["ckpt_path=x.ckpt"]), "evaluate")


# All hyper-parameters of the original training script can be set.
ORIGINAL = [
    "model.embed_dim=256", "data.vocab_size=10000", "data.max_text_length=64", "model.text_encoder.hidden_dim=512",
    "model.dropout=0.1", "model.temperature=0.07", "model.learn_temperature=false", "data.batch_size=32",
    "optim.lr=1e-4", "trainer.max_epochs=10", "data.image_size=224", "data.image_mean=[0.485,0.456,0.406]",
    "data.image_std=[0.229,0.224,0.225]", "trainer.accumulate_grad_batches=2", "trainer.precision=16-mixed",
    "data.num_workers=2", "seed=0", "trainer=mps", "model.image_encoder.weights=null", "data.split=official",
]  # fmt: skip


@pytest.mark.parametrize("override", ORIGINAL)
def test_original_settings_can_be_set(override: str) -> None:
    check_overrides("train", [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_epoch=3", "trainer.max_epochs"),
        ("modle=mobilenet_lstm", "Did you mean model"),
        ("model=mobilenet_lsmt", "Did you mean mobilenet_lstm"),
        ("exprement=quickstart", "Did you mean experiment"),
        ("batch_size=8", "Did you mean data.batch_size"),
        ("lr=1e-3", "Did you mean optim.lr"),
        ("optim.lrr=1e-3", "Did you mean optim.lr"),
        ("zzzzzz=1", "--cfg job lists all settings"),
        ("+model.dropout=0.5", r"remove the \+"),
        ("no_equals_sign", "key=value"),
        ("logger=null", "write ~logger"),
        ("trainer.max_time=60", r"write \+trainer\.max_time=60"),
        ("tags.note=hello", r"write \+tags\.note=hello"),
        ("optim.lr=1e-4,fast", "optim.lr=fast"),  # every value of a sweep
        ("model.embed_dim=128,256,x", "model.embed_dim=x"),
    ],
)
def test_mistakes_are_refused_with_a_suggestion(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_overrides("train", [override])


def test_suggestions_are_of_the_chosen_options() -> None:
    with pytest.raises(ConfigError, match=r"write \+stages\.heads\.frozen_text_blocks=all"):
        check_overrides("train", ["stages=gradual", "stages.heads.frozen_text_blocks=all"])


@pytest.mark.parametrize("name", ["quickstart", "flickr8k", "flickr8k_fast"])
def test_a_recipe_takes_other_towers_and_losses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a recipe says of the LSTM, of MobileNet and of InfoNCE goes away with them."""
    monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "tests")
    others = ["model/image_encoder=patches", "model/text_encoder=bag_of_words", "loss=siglip"]
    check_overrides("train", [f"experiment={name}", *others], config_dir=str(Path(__file__).parents[1] / "conf"))


@pytest.mark.parametrize(
    "override",
    ["+trainer.max_time=00:01:00:00", "+tags.note=hello", "~callbacks.examples", "callbacks.early_stopping=null",
     "~logger", "~stages", "run_name=2024"],
)  # fmt: skip
def test_additions_and_deletions_are_allowed(override: str) -> None:
    check_overrides("train", [override])


def test_overrides_are_parsed() -> None:
    (added, removed) = parse_overrides(["+tags.note=x", "~callbacks.examples"])
    assert added.is_add()
    assert removed.is_delete()
