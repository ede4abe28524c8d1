"""Compiled towers train, are saved and are exported as the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from imtext.config.compose import compose_config
from imtext.errors import ConfigError
from imtext.train import train
from imtext.training.checkpoints import load_model, read_checkpoint
from imtext.training.compilation import compile_towers
from tests.conftest import Compose
from tests.processes import paths, train_together
from tests.runs import QUICK, weights

pytestmark = pytest.mark.timeout(900)  # a busy machine imports torch for minutes

SAME = [
    *(each for each in QUICK if not each.startswith(("trainer=", "data.batch_size"))), "data.num_workers=0",
    "model/image_encoder=timm", "model.image_encoder.name=test_vit", "model.image_encoder.image_size=32",
    "model.dropout=0", "model.text_encoder.dropout=0", "data.augment=null", "trainer.max_epochs=1",
    "optim.schedule=constant",
]  # fmt: skip
ONE = ["trainer=cpu", "data.batch_size=8"]


def test_an_unknown_compiler_is_refused() -> None:
    nothing: Any = None
    with pytest.raises(ConfigError, match=r"compile=fast: .*inductor"):
        compile_towers(nothing, "fast")
    compile_towers(nothing, False)


@pytest.mark.slow
def test_compiled_towers_train_as_others(compose: Compose, tmp_path: Path) -> None:
    """Also in the parts of a GradCache, which are of different sizes."""
    plain, _ = train(compose(*SAME, *ONE, "grad_cache=3", output="plain"))
    compiled, objects = train(compose(*SAME, *ONE, "grad_cache=3", "compile=aot_eager", output="compiled"))
    assert objects["module"].model.image_encoder._compiled_call_impl is not None
    assert compiled["train/loss_epoch"] == pytest.approx(plain["train/loss_epoch"], rel=1e-3)
    for name, value in weights(tmp_path / "runs/plain").items():
        torch.testing.assert_close(weights(tmp_path / "runs/compiled")[name], value, rtol=1e-3, atol=1e-3)
    last = tmp_path / "runs/compiled/checkpoints/last.ckpt"
    assert not any("_orig_mod" in name for name in read_checkpoint(last)["state_dict"])
    assert load_model(last).model.image_encoder._compiled_call_impl is None
    longer, _ = train(compose(*SAME, *ONE, "trainer.max_epochs=2", f"ckpt_path={last}", output="longer"))
    assert longer["epochs"] == 2


@pytest.mark.slow
def test_two_processes_with_everything_equal_one_with_the_whole_batch(tmp_path: Path) -> None:
    """Compiled towers, parts of a batch, mixed precision and the loss that goes round, all at once."""
    loss = ["loss=siglip", "loss.initial_bias=-2", "data.num_images=48"]
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=4", "compile=aot_eager"]
    both = [*SAME, *loss]
    mixed = "trainer.precision=bf16-mixed"
    runs = {"plain": [*both, *two, "grad_cache=3"], "mixed": [*both, *two, "grad_cache=3", mixed]}
    found = train_together(tmp_path, runs)
    one, _ = train(compose_config("train", [*both, *ONE, *paths(tmp_path, "one")]))
    for name, tolerance in (("plain", 1e-3), ("mixed", 3e-2)):
        for metrics, _ in found[name]:
            for key in ("train/loss_epoch", "train/chance_loss", "train/temperature"):
                assert metrics[key] == pytest.approx(one[key], rel=tolerance)
    for name, value in weights(tmp_path / "runs" / "one").items():
        torch.testing.assert_close(weights(tmp_path / "runs" / "plain")[name], value, rtol=1e-3, atol=1e-3)
