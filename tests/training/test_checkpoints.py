"""Checkpoints: finding, reading and rebuilding, also those of the older format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from imtext.data import RetrievalDataModule
from imtext.errors import CheckpointError
from imtext.search import Encoder
from imtext.training.checkpoints import (
    FORMAT,
    TrainedModel,
    find_checkpoint,
    flat,
    load_model,
    read_checkpoint,
    rebuild,
    strip,
)

MODEL = {
    "_target_": "imtext.models.DualEncoder",
    "embed_dim": 32,
    "mirror": True,
    "image_encoder": {"_target_": "imtext.models.MobileNetV3Small", "weights": "default"},
    "text_encoder": {"_target_": "imtext.models.LSTMEncoder", "word_dim": 16, "hidden_dim": 24},
}
AUGMENT = {"_target_": "imtext.data.transforms.Augment", "image_size": 32}


@pytest.fixture
def content(untrained: tuple[TrainedModel, RetrievalDataModule]) -> dict[str, Any]:
    """A checkpoint as training writes it, without the state that only resuming needs."""
    trained, _ = untrained
    return {
        "state_dict": {f"model.{name}": value for name, value in trained.model.state_dict().items()},
        "epoch": 4,
        "global_step": 20,
        "pytorch-lightning_version": "2.6",
        "imtext": {
            "format": FORMAT,
            "config": {"model": MODEL, "data": {"_target_": "imtext.data.Shapes"}},
            "tokenizer": trained.tokenizer.to_json(),
            "vocabulary": trained.tokenizer.vocabulary.to_dict(),
            "preprocess": trained.preprocess.to_dict(),
            "run_ids": {},
            "overrides": None,
        },
    }


@pytest.fixture
def old_content(content: dict[str, Any], untrained: tuple[TrainedModel, RetrievalDataModule]) -> dict[str, Any]:
    """The same model as format 1 wrote it."""
    size = untrained[0].tokenizer.vocabulary.size
    model = {**MODEL, "text_encoder": {**MODEL["text_encoder"], "vocab_size": size}}  # type: ignore[dict-item]
    tokenizer = json.loads(content["imtext"]["tokenizer"]) | {"padding": None}
    facts = {
        "format": 1,
        "config": {"model": model, "data": {"_target_": "imtext.data.Shapes", "augment": AUGMENT}},
        "tokenizer": json.dumps(tokenizer),
        "preprocess": {key: content["imtext"]["preprocess"][key] for key in ("image_size", "image_mean", "image_std")},
        "run_ids": {},
        "overrides": None,
    }
    return {**content, "imtext": facts}


def check_same_model(rebuilt: TrainedModel, trained: TrainedModel) -> None:
    texts = ["a red circle", "two big blue stars and an unheard word"]
    picture = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        for model in (rebuilt, trained):
            assert not model.model.training
        ids, mask = map(torch.from_numpy, rebuilt.tokenizer(texts))
        assert rebuilt.model.encode_text(ids, mask).equal(trained.model.encode_text(ids, mask))
        assert rebuilt.model.encode_image(picture).equal(trained.model.encode_image(picture))
    for ours, theirs in zip(rebuilt.tokenizer(texts), trained.tokenizer(texts), strict=True):
        assert (ours == theirs).all()
    assert rebuilt.tokenizer.vocabulary == trained.tokenizer.vocabulary
    assert rebuilt.preprocess == trained.preprocess


Untrained = tuple[TrainedModel, RetrievalDataModule]


def test_a_model_is_rebuilt_from_the_checkpoint_alone(content: dict[str, Any], untrained: Untrained) -> None:
    check_same_model(rebuild(content), untrained[0])


def test_format_1_still_loads(old_content: dict[str, Any], untrained: Untrained, tmp_path: Path) -> None:
    torch.save(old_content, tmp_path / "old.ckpt")
    rebuilt = load_model(tmp_path / "old.ckpt")
    check_same_model(rebuilt, untrained[0])
    assert "vocab_size" not in rebuilt.config["model"]["text_encoder"]
    assert rebuilt.config["data"]["augment"]["_target_"] == "imtext.data.augment.Augment"
    assert old_content["imtext"]["format"] == 1  # what was read stays as it is


def test_a_model_whose_code_has_changed_is_refused(content: dict[str, Any]) -> None:
    weights = {name: value for name, value in content["state_dict"].items() if "text_projection" not in name}
    with pytest.raises(CheckpointError, match="does not fit this version"):
        rebuild({**content, "state_dict": weights})


def test_stripped_it_still_loads(content: dict[str, Any], untrained: Untrained) -> None:
    slim = strip({**content, "optimizer_states": [], "loops": {}, "callbacks": {}})
    assert slim.keys() == content.keys()
    check_same_model(rebuild(slim), untrained[0])


def test_finding_a_checkpoint(tmp_path: Path) -> None:
    runs, run = tmp_path / "runs", tmp_path / "runs" / "train" / "one"
    best, last = run / "checkpoints" / "best.ckpt", run / "checkpoints" / "last.ckpt"
    best.parent.mkdir(parents=True)
    best.touch()
    last.touch()
    assert find_checkpoint("last", runs) == last
    assert find_checkpoint("best", runs) == find_checkpoint(str(run), runs) == best
    assert find_checkpoint(str(last), runs) == last
    assert find_checkpoint(str(run), runs, "last") == last
    newer = runs / "newer" / "checkpoints"
    newer.mkdir(parents=True)
    (newer / "last.ckpt").touch()
    with pytest.raises(CheckpointError, match="newer"):  # not the best of another run
        find_checkpoint("best", runs)
    with pytest.raises(CheckpointError, match="Train first"):
        find_checkpoint("last", tmp_path / "empty")
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        find_checkpoint(str(tmp_path / "none.ckpt"), runs)


def test_foreign_broken_and_newer_files_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    (tmp_path / "broken.ckpt").write_bytes(b"PK\x03\x04 half a file")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    torch.save({"imtext": Path}, tmp_path / "pickled.ckpt")  # holds a class
    torch.save({"imtext": {"format": FORMAT + 1}}, tmp_path / "newer.ckpt")
    for name in ("foreign", "broken", "empty", "pickled", "newer"):
        with pytest.raises(CheckpointError, match=name):
            read_checkpoint(tmp_path / f"{name}.ckpt")


def test_settings_become_flat() -> None:
    assert flat({"a": {"b": {"c": 1}, "d": [2]}, "e": {}}) == {"a.b.c": 1, "a.d": [2], "e": {}}


def test_a_trained_model_embeds_like_its_bundle(untrained: Untrained, encoder: Encoder) -> None:
    trained, data = untrained
    texts = ["a red circle", "two blue stars on a black background"]
    torch.testing.assert_close(trained.encode_texts(texts), torch.from_numpy(encoder.encode_texts(texts)))
    pictures = [data.picture(row) for row in range(3)]
    expected = torch.from_numpy(encoder.encode_images(data.pixels[row] for row in range(3)))
    torch.testing.assert_close(trained.encode_images(pictures), expected, atol=1e-4, rtol=1e-4)
