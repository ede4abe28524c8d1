"""Building a model from settings, also with other towers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from imtext.errors import ConfigError
from imtext.export import export_run
from imtext.models import DualEncoder, LSTMEncoder, MobileNetV3Small
from imtext.preprocess import Preprocess
from imtext.preprocess.tokenizer import Vocabulary
from imtext.search import Encoder
from imtext.train import train
from imtext.training.build import ModelBuilder, settings_without_files
from imtext.training.checkpoints import load_model
from tests.conftest import Compose
from tests.models.towers import BagOfWords, PatchEncoder

VOCABULARY = Vocabulary("words", size=20, pad_id=0, unk_id=1, max_length=8)
OTHERS = [f"hydra.searchpath=[file://{Path(__file__).parents[1] / 'conf'}]"]
TOWERS = [*OTHERS, "model/image_encoder=patches", "model/text_encoder=bag_of_words", "model.embed_dim=8"]
SHORT = [
    "data=shapes", "data.num_images=40", "data.image_size=32", "data.batch_size=8", "trainer=cpu",
    "trainer.max_epochs=2", "callbacks.progress=null", "callbacks.examples=null", "logger=none", "baseline=false",
]  # fmt: skip


def test_settings_stay_as_they_are(compose: Compose) -> None:
    config = compose("model.image_encoder.weights=null", "model.dropout=0.3", "model.text_encoder.word_dim=12")
    before = OmegaConf.to_container(config, resolve=False)
    builder = ModelBuilder(config.model)
    assert builder.preprocess == MobileNetV3Small.preprocess
    assert builder.read_tokenizer(8) is None
    model = builder.finish(VOCABULARY)
    assert OmegaConf.to_container(config, resolve=False) == before
    assert isinstance(model, DualEncoder)
    assert isinstance(model.text_encoder, LSTMEncoder)
    assert model.text_encoder.word_embedding.weight.shape == (20, 12)
    assert model.text_encoder.dropout.p == model.image_projection[0].p == 0.3  # type: ignore[index]


def test_plain_settings_work_too(compose: Compose) -> None:
    settings = OmegaConf.to_container(compose("model.image_encoder.weights=null").model, resolve=True)
    assert ModelBuilder(settings).finish(VOCABULARY).embed_dim == 256  # type: ignore[arg-type]


def test_pictures_of_another_size_are_refused_before_they_are_decoded(compose: Compose) -> None:
    vit = ["model/image_encoder=timm", "model.image_encoder.name=vit_tiny_patch16_224"]
    builder = ModelBuilder(compose(*vit, "model.image_encoder.weights=null", "model.image_encoder.image_size=32").model)
    builder.check_size(Preprocess(32))
    with pytest.raises(ConfigError, match=r"data\.image_size=64: the image tower takes pictures of 32 pixels only"):
        builder.check_size(Preprocess(64))
    with pytest.raises(ConfigError, match=r"data\.scales.*pictures of 32 pixels only"):
        builder.check_size(Preprocess(32), [32])


def test_settings_without_files_need_no_weights(compose: Compose) -> None:
    settings = OmegaConf.to_container(compose("model.image_encoder.weights=null").model, resolve=True)
    assert isinstance(settings, dict)
    model = ModelBuilder(settings).finish(VOCABULARY)  # type: ignore[arg-type]
    settings["image_encoder"]["weights"] = "gone.pth"
    complete = settings_without_files(model, settings)  # type: ignore[arg-type]
    assert complete["image_encoder"] == {**settings["image_encoder"], "weights": None}
    assert complete["text_encoder"] == settings["text_encoder"]


def test_towers_combine_freely(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "tests")
    first = compose(*OTHERS, "model/text_encoder=bag_of_words")
    assert first.model.image_encoder._target_ == "imtext.models.MobileNetV3Small"
    assert first.model.text_encoder == {"_target_": "tests.models.towers.BagOfWords", "word_dim": 20}
    second = compose(*OTHERS, "model/image_encoder=patches")
    assert second.model.image_encoder == {"_target_": "tests.models.towers.PatchEncoder", "num_features": 12}
    assert second.model.text_encoder._target_ == "imtext.models.LSTMEncoder"
    assert compose("model/text_encoder=lstm", "model=mobilenet_lstm").model == compose().model


@pytest.mark.slow
def test_other_towers_train_and_are_exported(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "tests")
    monkeypatch.setenv("IMTEXT_ROOT", str(tmp_path))
    stages = ["stages=gradual", "stages.heads.frozen_blocks=all", "stages.top.frozen_blocks=1",
              "stages.top.after_epochs=1", "+stages.heads.frozen_text_blocks=1"]  # fmt: skip
    metrics, objects = train(compose(*TOWERS, *SHORT, *stages, "bundle=false"))
    assert "test/rsum" in metrics
    assert isinstance(objects["module"].model.image_encoder, PatchEncoder)
    checkpoint = tmp_path / "runs/run/checkpoints/best.ckpt"
    trained = load_model(checkpoint)
    assert isinstance(trained.model.text_encoder, BagOfWords)
    bundle = export_run(str(checkpoint), tmp_path / "bundle")
    assert json.loads((tmp_path / "bundle" / "manifest.json").read_text())["name"] == "PatchEncoder-BagOfWords"
    assert Encoder(bundle, threads=1).encode_texts(["a red circle"]).shape == (1, 8)
    torch.testing.assert_close(trained.model.state_dict(), load_model(checkpoint).model.state_dict())
