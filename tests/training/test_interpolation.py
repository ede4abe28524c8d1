"""Mixtures of weights before and after fine-tuning."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from imtext.errors import CheckpointError, ConfigError
from imtext.training.build import settings_without_files
from imtext.training.checkpoints import FORMAT, TrainedModel, load_model
from imtext.training.interpolation import check_alphas, read_ends
from imtext.training.pretrained import load_pretrained
from tests.models.clip.folders import SIZE, write_clip


@pytest.fixture
def name(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip")


def checkpoint_of(trained: TrainedModel, path: Path) -> Path:
    """A checkpoint as training writes it."""
    settings = trained.config["model"]
    facts = {
        "format": FORMAT,
        "config": {"model": settings},
        "model": settings_without_files(trained.model, settings),
        "tokenizer": trained.tokenizer.to_json(),
        "vocabulary": trained.tokenizer.vocabulary.to_dict(),
        "preprocess": trained.preprocess.to_dict(),
    }
    state = {f"model.{key}": value for key, value in trained.model.state_dict().items()}
    rest: dict[str, Any] = {"epoch": 1, "global_step": 9, "pytorch-lightning_version": "2.6", "optimizer_states": []}
    torch.save({**rest, "state_dict": {**state, "loss.bias": torch.ones(1)}, "imtext": facts}, path)
    return path


def tuned(name: Path, path: Path, lora_rank: int = 0) -> tuple[TrainedModel, Path]:
    """A model that has learnt something, and its checkpoint."""
    settings = {"_target_": "imtext.models.clip.CLIP", "name": str(name), "lora_rank": lora_rank}
    trained = load_pretrained(settings)
    torch.manual_seed(1)
    with torch.no_grad():
        for key, parameter in trained.model.named_parameters():
            if not lora_rank or "lora_" in key:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return trained, checkpoint_of(trained, path)


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_the_ends_are_both_models_and_the_middle_lies_between(name: Path, tmp_path: Path, lora_rank: int) -> None:
    fine, path = tuned(name, tmp_path / "best.ckpt", lora_rank)
    plain = load_pretrained({"_target_": "imtext.models.clip.CLIP", "name": str(name)})
    ends, picture = read_ends(path), torch.randn(1, 3, SIZE, SIZE)
    with torch.no_grad():
        for alpha, expected in ((0, plain), (1, fine)):
            ends.mix(alpha)
            torch.testing.assert_close(ends.trained.model.encode_image(picture), expected.model.encode_image(picture))
    half = ends.mixture(0.5)
    torch.testing.assert_close(half["logit_scale"], (ends.pretrained["logit_scale"] + ends.tuned["logit_scale"]) / 2)
    assert not any("lora_" in key for key in half)


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_a_mixture_is_a_checkpoint(name: Path, tmp_path: Path, lora_rank: int) -> None:
    _, path = tuned(name, tmp_path / "best.ckpt", lora_rank)
    ends = read_ends(path)
    written = ends.save(0.4, tmp_path / "run" / "mixed" / "mixed.ckpt")
    with pytest.raises(CheckpointError, match="is a mixture already"):
        read_ends(written)
    shutil.rmtree(name)
    again = load_model(written)
    assert all(value.equal(ends.mixture(0.4)[key]) for key, value in again.model.state_dict().items())
    content = torch.load(written, weights_only=True)
    assert content["imtext"]["interpolation"] == {"alpha": 0.4, "pretrained": str(name)}
    assert "optimizer_states" not in content
    assert content["state_dict"]["loss.bias"].equal(torch.ones(1))


def test_the_pretrained_weights_are_needed_again(name: Path, tmp_path: Path) -> None:
    _, path = tuned(name, tmp_path / "best.ckpt")
    shutil.rmtree(name)
    with pytest.raises(CheckpointError, match=r"pretrained weights that .* began with are needed again: model\.name="):
        read_ends(path)


def test_a_model_of_two_towers_has_nothing_to_be_mixed_with(tmp_path: Path) -> None:
    content = {"imtext": {"format": FORMAT, "config": {"model": {"image_encoder": {}}}}}
    torch.save(content, tmp_path / "best.ckpt")
    with pytest.raises(CheckpointError, match="did not begin as a pretrained dual encoder"):
        read_ends(tmp_path / "best.ckpt")


def test_alphas_are_shares() -> None:
    assert check_alphas([1, 0, 0.5, 1]) == [0, 0.5, 1]
    for wrong in ([], [0, 1.5], [-0.1]):
        with pytest.raises(ConfigError, match="alphas takes numbers between 0"):
            check_alphas(wrong)
