"""The base of all data sets."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from imtext.data import Flickr8k, Shapes
from imtext.data.vocabulary import learn_vocabulary
from imtext.errors import ConfigError, DataError, ImtextError
from imtext.preprocess import Preprocess
from tests.data.shared import SMALL, Characters, ready, shapes

TOWER = Preprocess(96, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), interpolation="bilinear")


class TestUseModel:
    def test_without_a_model_the_defaults_hold(self) -> None:
        assert Shapes().preprocess == Preprocess()
        assert Shapes(image_size=64, resize="crop").preprocess == Preprocess(64, resize="crop")

    def test_a_new_model_supplies_settings_that_are_null(self) -> None:
        data = Shapes(resize="crop")
        data.use_model(preprocess=TOWER)
        assert data.preprocess == TOWER.override(resize="crop")
        data = Shapes(image_size=64, image_mean=(0, 0, 0), interpolation="nearest")
        data.use_model(preprocess=TOWER)
        assert data.preprocess == Preprocess(64, (0, 0, 0), (0.5, 0.5, 0.5), interpolation="nearest")

    def test_a_trained_model_overrides_the_settings(self, tmp_path: Path) -> None:
        data = Shapes(40, image_size=64, tokenizer="gone.json", cache_dir=str(tmp_path))
        tokenizer = Characters()
        data.use_model(Preprocess(32, resize="crop"), tokenizer, trained=True)
        data.setup()
        assert data.preprocess == Preprocess(32, resize="crop")
        assert data.tokenizer is tokenizer
        assert data.pixels.shape == (40, 32, 32, 3)
        batch = next(iter(data.val_dataloader()))
        assert int(batch["input_ids"].max()) <= Characters.vocabulary.pad_id
        assert batch["input_ids"].shape[1] == Characters.vocabulary.max_length

    def test_a_pretrained_text_tower_brings_its_tokenizer(self, tmp_path: Path) -> None:
        data = Shapes(40, image_size=64, cache_dir=str(tmp_path))
        data.use_model(Preprocess(32, resize="crop"), tokenizer := Characters())
        assert data.preprocess == Preprocess(64, resize="crop")
        data.setup()
        assert data.tokenizer is tokenizer
        with pytest.raises(ConfigError, match=r"other\.json.*of its own"):
            Shapes(tokenizer="other.json").use_model(Preprocess(32), tokenizer)

    def test_only_before_setup(self, tmp_path: Path) -> None:
        data = shapes(tmp_path)
        with pytest.raises(RuntimeError, match="before setup"):
            data.use_model(preprocess=TOWER)

    @pytest.mark.parametrize("options", [{"image_size": 8}, {"interpolation": "cubic"}, {"image_std": (1, 1)}])
    def test_bad_settings_are_noticed_at_once(self, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match=next(iter(options))):
            Shapes(**options)


class TestTokenizer:
    def test_a_given_tokenizer_replaces_the_learnt_vocabulary(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        given = learn_vocabulary(["a small red circle", "a big blue star"])
        (tmp_path / "tokenizer.json").write_text(given.to_json())
        with caplog.at_level(logging.INFO):
            data = shapes(tmp_path, tokenizer=str(tmp_path / "tokenizer.json"), vocab_size=5, max_text_length=9)
        assert (data.tokenizer.vocabulary.size, data.tokenizer.vocabulary.max_length) == (11, 9)
        assert data.tokenizer.vocabulary.kind == "pretrained"
        assert "tokenizer.json" in caplog.text
        assert "pretrained, 11 tokens" in caplog.text

    def test_it_is_read_before_the_data(self, tmp_path: Path) -> None:
        data = Flickr8k(str(tmp_path / "nowhere"), tokenizer=str(tmp_path / "none.json"))
        with pytest.raises(ConfigError, match=r"data\.tokenizer"):
            data.setup()

    def test_needs_setup(self) -> None:
        with pytest.raises(RuntimeError, match="setup"):
            Shapes().tokenizer  # noqa: B018


class TestLoaders:
    def test_batch_of_one_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="no negatives"):
            Shapes(40, batch_size=1)

    def test_the_trainer_gives_rank_and_device(self, tmp_path: Path) -> None:
        data = shapes(tmp_path, captions_per_image=1)
        expected = [key.positions for key in data.train_dataloader().sampler]
        seen = []
        for rank in range(2):
            device = SimpleNamespace(root_device=torch.device("cpu"))
            data.trainer = SimpleNamespace(global_rank=rank, world_size=2, strategy=device)  # type: ignore[assignment]
            seen.append([key.positions for key in data.train_dataloader().sampler])
        assert seen == [expected[0:2:2], expected[1:2:2]]

    def test_a_resumed_run_starts_with_its_epoch(self, tmp_path: Path) -> None:
        data = shapes(tmp_path)
        data.load_state_dict({"epoch": 3})
        assert {key.epoch for key in data.train_dataloader().sampler} == {3}

    def test_too_few_images(self, tmp_path: Path) -> None:
        data = shapes(tmp_path, ratios=(0.5, 0.5, 0))
        with pytest.raises(DataError, match=r"0 test images.*20 val, 0 test.*data\.ratios"):
            data.test_dataloader()


def damaged(folder: Path, tmp_path: Path, **options: Any) -> Flickr8k:
    (folder / "Images" / "3.jpg").write_bytes((folder / "Images" / "3.jpg").read_bytes()[:200])
    (folder / "Images" / "5.jpg").write_text("not a picture")
    (folder / "Images" / "7.jpg").write_bytes(b"")
    return Flickr8k(str(folder), cache_dir=str(tmp_path / "cache"), **SMALL, **options)


def test_broken_pictures_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"3 of 12 pictures.*3\.jpg.*data\.skip_broken=true"):
        ready(damaged(folder, tmp_path))


def test_broken_pictures_can_be_left_out(folder: Path, tmp_path: Path) -> None:
    data = ready(damaged(folder, tmp_path, skip_broken=True))
    used = sorted(row for rows in data.rows.values() for row in rows)
    assert used == [0, 1, 2, 4, 6, 8, 9, 10, 11]


def test_a_repaired_picture_is_seen(folder: Path, tmp_path: Path) -> None:
    data = damaged(folder, tmp_path)
    with pytest.raises(ImtextError):
        ready(data)
    for number in (3, 5, 7):
        shutil.copy(folder / "Images" / "0.jpg", folder / "Images" / f"{number}.jpg")
    assert len(ready(Flickr8k(str(folder), cache_dir=str(tmp_path / "cache"), **SMALL)).captions) == 12
