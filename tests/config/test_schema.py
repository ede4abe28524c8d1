"""Unknown settings and values of the wrong type are refused for every `_target_`."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf

from imtext.config.compose import check_overrides, compose_config
from imtext.config.schema import can_be_added, check_config
from imtext.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+modle.x=1", r"no setting called modle\. Did you mean model\?"),
        ("+trainer.gradient_clip=1", "Trainer takes accelerator, .* Did you mean gradient_clip_val"),
        ("+data.augment.crop=0.5", r"no setting called data\.augment\.crop"),
        ("+model.text_encoder.batch_size=4", r"Did you mean data\.batch_size\?"),
        ("+paths.ouput_dir=x", r"Did you mean paths\.output_dir"),
        ("+callbacks.early.patience=3", "callbacks.early has no _target_, so it does nothing"),
        ("+callbacks.early=3", "callbacks.early has no _target_, so it does nothing"),
        ("data=default", "data has no _target_"),
        ("data.batch_size=many", "data.batch_size=many: input should be a valid integer"),
        ("data.batch_size=8.0", "valid integer"),
        ("data.num_workers=many", "data.num_workers=many: input should be a valid integer or 'auto'"),
        ("data.split=offical", "input should be 'ratios' or 'official'"),
        ("data.ratios=[a,b,c]", "data.ratios=.* valid number"),
        ("data.image_mean=0.5", "data.image_mean=0.5: input should be a list"),
        ("data.augment=5", "data.augment=5: it takes a group with a _target_"),
        ("optim.lr=fast", "optim.lr=fast"),
        ("model.image_encoder._target_=os.system", "is not in"),
        ("model.learn_temperature=no", "valid boolean"),  # a string for Hydra, which would count as true
        ("bundle=1", "bundle=1: input should be a valid boolean"),
        ("tags=5", "tags=5: input should be a group of settings"),
        ("seed=-1", "seed=-1"),
        ("seed=null", "seed=null: input should be a valid integer"),
        ("~loss", "loss is needed: give loss=…"),
        ("~paths.root", "paths.root is needed"),
    ],
)
def test_mistakes_are_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_overrides("train", [override])


def test_evaluate_knows_the_splits() -> None:
    with pytest.raises(ConfigError, match="split=tset: input should be 'train', 'val' or 'test'"):
        check_overrides("evaluate", ["ckpt_path=x", "split=tset"])


@pytest.mark.parametrize("override", ["optim.lr=1", "optim.weight_decay=0", "data.captions_per_image=null"])
def test_an_integer_may_stand_for_a_number(override: str) -> None:
    check_overrides("train", [override])


def test_a_part_of_a_configuration_can_be_checked() -> None:
    data = OmegaConf.create({"data": compose_config("train", []).data})
    check_config(data, "evaluate")
    data.data.batch_sise = 3
    with pytest.raises(ConfigError, match="Did you mean batch_size"):
        check_config(data, "evaluate")


def test_interpolations_are_not_checked() -> None:
    check_overrides("train", ["data.batch_size=${data.image_size}", "data.ratios=['${seed}',0.2,0.2]"])


@pytest.mark.parametrize(
    ("key", "expected"), [("trainer.max_time", True), ("tags.note", True), ("trainer.max_tim", False), ("note", False)]
)
def test_settings_that_can_be_added(key: str, expected: bool) -> None:
    raw: Any = OmegaConf.to_container(compose_config("train", []), resolve=False)
    assert can_be_added(raw, key) is expected
