"""Pretrained dual encoders: fine-tuned as a whole or in part, resumed, exported; and without any training."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from imtext.errors import ConfigError
from imtext.export import export_run
from imtext.search import Encoder
from imtext.train import train
from imtext.training.checkpoints import load_model, read_checkpoint
from imtext.training.pretrained import load_pretrained
from tests.conftest import Compose
from tests.models.clip.folders import WRITERS, write_clip
from tests.runs import INTERRUPT, interrupt_at, same, weights, without_time

SHORT = [
    "experiment=finetune_clip", "data=shapes", "data.num_images=60", "data.image_size=32", "data.batch_size=8",
    "data.ratios=[0.5,0.4,0.1]", "optim.lr=1e-3", "trainer=cpu",
    "trainer.max_epochs=2", "callbacks.progress=null", "callbacks.examples=null", "logger=none", "baseline=false",
    "bundle=false",
]  # fmt: skip
MANNERS = {
    "whole": [],
    "last_layers": ["stages=last_layers", "stages.last_layers.views=2"],
    "locked_image": ["stages=locked_image", "stages.heads.views=2"],
    "lora": ["model.lora_rank=2"],
}


def test_a_pretrained_model_brings_everything(tmp_path: Path) -> None:
    trained = load_pretrained({"_target_": "imtext.models.clip.CLIP", "name": str(write_clip(tmp_path / "clip"))})
    assert not trained.model.training
    assert trained.tokenizer.vocabulary.max_length == 16
    assert trained.preprocess.image_size == 32
    assert trained.encode_texts(["a red circle"]).shape == (1, 20)


def test_two_towers_have_to_be_trained_first(compose: Compose) -> None:
    with pytest.raises(ConfigError, match=r"two towers.*trained together first"):
        load_pretrained(compose("model.image_encoder.weights=null").model)


@pytest.mark.slow
@pytest.mark.parametrize("manner", MANNERS)
def test_what_learns(manner: str, compose: Compose, tmp_path: Path) -> None:
    name = write_clip(tmp_path / "clip")
    _, objects = train(compose(*SHORT, *MANNERS[manner], f"model.name={name}"))
    before = load_pretrained({"_target_": "imtext.models.clip.CLIP", "name": str(name)}).model
    shutil.rmtree(name)  # the checkpoint needs no files
    after = load_model(tmp_path / "runs/run/checkpoints/last.ckpt").model
    if manner == "lora":
        for tower in (after.image_encoder, after.text_encoder):
            assert any("lora_B" in key and value.any() for key, value in tower.state_dict().items())
            tower.merge_adapters()
    changed = {
        part: [not torch.equal(old, new) for old, new in zip(first.parameters(), second.parameters(), strict=True)]
        for part, first, second in (
            ("stem", before.image_encoder.blocks[0], after.image_encoder.blocks[0]),
            ("layer", before.image_encoder.blocks[2], after.image_encoder.blocks[2]),
            ("words", before.text_encoder.blocks[0], after.text_encoder.blocks[0]),
            ("projection", before.text_projection, after.text_projection),
        )
    }
    learnt = {part for part, each in changed.items() if any(each)}
    assert (
        learnt
        == {
            "whole": {"stem", "layer", "words", "projection"},
            "last_layers": {"layer", "projection"},
            "locked_image": {"words", "projection"},
            "lora": {"layer", "projection"},
        }[manner]
    )
    assert objects["module"].model.image_encoder.low_rank == (manner == "lora")


@pytest.mark.slow
@pytest.mark.parametrize("manner", ["whole", "lora"])
def test_a_resumed_run_equals_an_uninterrupted_one(
    manner: str, compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = [*SHORT, *MANNERS[manner], f"model.name={write_clip(tmp_path / 'clip')}", "trainer.max_epochs=3"]
    straight, _ = train(compose(*config, output="straight"))
    interrupt_at(monkeypatch, 1, 1)
    with pytest.raises(RuntimeError, match="interrupted"):
        train(compose(*config, INTERRUPT, output="resumed"))
    checkpoint = tmp_path / "runs/resumed/checkpoints/last.ckpt"
    assert read_checkpoint(checkpoint)["epoch"] == 0
    resumed, _ = train(compose(*config, f"ckpt_path={checkpoint}", output="resumed"))
    assert same(weights(tmp_path / "runs/straight"), weights(tmp_path / "runs/resumed"))
    assert without_time(straight) == without_time(resumed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
def test_a_fine_tuned_model_becomes_a_bundle(
    kind: str, compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMTEXT_ROOT", str(tmp_path))
    name = WRITERS[kind](tmp_path / kind)
    train(compose(*SHORT, f"model.name={name}", "model.lora_rank=2", "model.mirror=true"))
    shutil.rmtree(name)
    checkpoint = tmp_path / "runs/run/checkpoints/best.ckpt"
    bundle = export_run(str(checkpoint), None)
    assert bundle.manifest["name"] == kind
    trained, texts = load_model(checkpoint), ["a red circle", "the blue square", "a"]
    found = torch.from_numpy(Encoder(bundle, threads=1).encode_texts(texts))
    torch.testing.assert_close(found, trained.encode_texts(texts), atol=1e-5, rtol=0)
