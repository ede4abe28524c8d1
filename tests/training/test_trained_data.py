"""The data of a checkpoint, with changes or without."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from imtext.data import RetrievalDataModule
from imtext.errors import ConfigError
from imtext.training.checkpoints import TrainedModel
from imtext.training.trained_data import build_data, data_settings

CONFIG = {"data": {"_target_": "imtext.data.Shapes", "num_images": 10, "batch_size": 4}}


def test_what_is_null_stays_as_it_was() -> None:
    changed = data_settings(OmegaConf.create({"batch_size": 8, "split": None}), CONFIG)
    assert changed == {"_target_": "imtext.data.Shapes", "num_images": 10, "batch_size": 8}


def test_the_teacher_of_a_run_is_left_out() -> None:
    run = {"data": {**CONFIG["data"], "teacher": "gone.safetensors"}}
    assert data_settings(OmegaConf.create({"batch_size": None}), run)["teacher"] is None


def test_another_data_set_takes_its_place() -> None:
    other = OmegaConf.create({"_target_": "imtext.data.Table", "path": "captions.csv"})
    assert data_settings(other, CONFIG) == other


def test_the_model_brings_tokenizer_and_preprocessing(
    untrained: tuple[TrainedModel, RetrievalDataModule], tmp_path: Path
) -> None:
    trained, _ = untrained
    settings = {"_target_": "imtext.data.Shapes", "num_images": 10, "image_size": 64, "cache_dir": str(tmp_path)}
    data = build_data(OmegaConf.create(settings), trained)
    assert data.tokenizer is trained.tokenizer
    assert data.preprocess == trained.preprocess
    assert data.pixels[0].shape == (32, 32, 3)


def test_a_pretrained_model_has_no_data_of_its_own() -> None:
    with pytest.raises(ConfigError, match="no data of its own: add data=flickr8k"):
        data_settings(OmegaConf.create({"batch_size": None}), {"model": {}})


def test_unknown_settings_are_refused(untrained: tuple[TrainedModel, RetrievalDataModule]) -> None:
    with pytest.raises(ConfigError, match="num_image"):
        build_data(OmegaConf.create({"_target_": "imtext.data.Shapes", "num_image": 10}), untrained[0])
