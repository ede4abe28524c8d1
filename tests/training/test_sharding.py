"""Towers that are divided among processes train as whole ones do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from imtext.config.compose import compose_config
from imtext.models import LSTMEncoder, TransformerEncoder
from imtext.preprocess.tokenizer import Vocabulary
from imtext.train import train
from imtext.training.checkpoints import load_model, read_checkpoint
from imtext.training.sharding import towers_of, transformer_layers
from tests.conftest import TINY_SHAPES
from tests.models.towers import PatchEncoder
from tests.processes import paths, train_together
from tests.runs import weights

pytestmark = pytest.mark.timeout(900)  # a busy machine imports torch for minutes

SETTINGS = [
    *(each for each in TINY_SHAPES if not each.startswith(("model.text_encoder", "trainer", "data.batch_size"))),
    "logger=none", "callbacks.examples=null", "model/image_encoder=timm", "model/text_encoder=transformer",
    "model.image_encoder.name=test_vit", "model.image_encoder.image_size=32", "model.text_encoder.word_dim=32",
    "model.dropout=0", "model.text_encoder.dropout=0", "model.hubness_bank=4", "optim.image_encoder_layer_decay=0.9",
    "optim.schedule=constant", "trainer.gradient_clip_val=0.5", "data.image_size=null", "data.augment=null",
    "data.num_workers=0", "baseline=false", "seed=3",
    "+stages.first={_target_:imtext.training.stages.Stage,frozen_blocks:3,frozen_text_blocks:1}",
    "stages.whole.after_epochs=1",
]  # fmt: skip
TWO = ["trainer.max_epochs=2", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=4"]
WORDS = Vocabulary("words", 20, pad_id=0, unk_id=1, max_length=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, list[tuple[dict[str, float], int]]]:
    """A run with whole towers and two with divided ones, one of them interrupted after an epoch."""
    last = folder / "runs" / "half" / "checkpoints" / "last.ckpt"
    return train_together(
        folder,
        {
            "ddp": [*SETTINGS, *TWO, "trainer=ddp"],
            "fsdp": [*SETTINGS, *TWO, "trainer=fsdp"],
            "parts": [*SETTINGS, *TWO, "trainer=fsdp", "grad_cache=3"],
            "half": [*SETTINGS, *TWO, "trainer=fsdp", "trainer.max_epochs=1"],
            "again": [*SETTINGS, *TWO, "trainer=fsdp", f"ckpt_path={last}"],
        },
    )


Found = dict[str, list[tuple[dict[str, float], int]]]


@pytest.mark.slow
def test_the_same_run_with_divided_and_with_whole_towers(found: Found, folder: Path) -> None:
    expected, everything = found["ddp"][0]
    for metrics, own in found["fsdp"] + found["parts"]:
        assert metrics.keys() == expected.keys()
        learnt = {name: value for name, value in expected.items() if name.startswith("train/")}
        assert {name: metrics[name] for name in learnt} == pytest.approx(learnt, abs=1e-3)
        assert own < 0.6 * everything  # the projections are in every process
    # In parts, biases without influence (of keys) follow rounding errors, which Adam makes large.
    for name, value in weights(folder / "runs" / "ddp").items():
        torch.testing.assert_close(weights(folder / "runs" / "fsdp")[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_checkpoints_are_ordinary_ones(found: Found, folder: Path) -> None:
    assert found.keys() >= {"ddp", "fsdp"}
    whole, divided = (read_checkpoint(folder / "runs" / name / "checkpoints" / "last.ckpt") for name in ("ddp", "fsdp"))
    (expected,), (state,) = whole["optimizer_states"], divided["optimizer_states"]
    assert state["param_groups"] == expected["param_groups"]
    assert state["state"].keys() == expected["state"].keys()
    for number, of_parameter in expected["state"].items():
        for name, value in of_parameter.items():
            torch.testing.assert_close(state["state"][number][name], value, rtol=1e-2, atol=1e-4)
    assert load_model(folder / "runs" / "fsdp" / "checkpoints" / "best.ckpt").model.hubness.fitted  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(found: Found, folder: Path) -> None:
    for name, value in weights(folder / "runs" / "fsdp").items():
        torch.testing.assert_close(weights(folder / "runs" / "again")[name], value)


@pytest.mark.slow
def test_one_process_goes_on(found: Found, folder: Path) -> None:
    one = ["trainer=cpu", "data.batch_size=8", "trainer.max_epochs=3", f"ckpt_path={folder / 'runs' / 'fsdp'}"]
    metrics, _ = train(compose_config("train", [*SETTINGS, *one, *paths(folder, "one")]))
    assert metrics["epochs"] == 3


def test_layers_of_transformers_are_collected_one_by_one() -> None:
    text = TransformerEncoder(16, vocabulary=WORDS)
    assert list(transformer_layers(text)) == list(text.layers)
    assert not list(transformer_layers(LSTMEncoder(8, 12, num_layers=2, vocabulary=WORDS)))
    assert not list(transformer_layers(PatchEncoder()))
    assert towers_of(nn.ModuleDict({"a": nn.ModuleDict({"b": text})})) == [text]
