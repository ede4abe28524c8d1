"""Which captions describe which images, in one process and in several."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from matplotlib.colors import hsv_to_rgb
from PIL import Image

from imtext.evaluate import evaluate
from imtext.train import train
from imtext.training.targets import targets_of
from tests.conftest import Compose

# Images 7, 3 and 5. Image 3 has text 0, too, but its caption with this text is not in the batch.
BATCH: Any = {
    "image_id": torch.tensor([7, 3, 5]),
    "caption_image_id": torch.tensor([7, 7, 3, 5]),
    "caption_text_id": torch.tensor([0, -1, 1, 1]),
    "image_text_ids": torch.tensor([[0, -2], [1, 0], [1, -2]]),
}
EXPECTED = [[1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 1, 1]]


def test_own_captions_and_equal_texts() -> None:
    assert targets_of(BATCH).positive.int().tolist() == EXPECTED
    assert targets_of(BATCH, everywhere=False).positive.int().tolist() == EXPECTED


def test_without_shared_texts_only_the_image_counts() -> None:
    alone: Any = {**BATCH, "caption_text_id": torch.full((4,), -1), "image_text_ids": torch.empty(3, 0).long()}
    assert targets_of(alone).positive.int().tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


# A teacher of two dimensions for the same batch, and its similarities.
TEACHER: Any = {
    "teacher_image": torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]),
    "teacher_text": torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.8, 0.6]]),
}
TAUGHT: Any = {**BATCH, **TEACHER}
SIMILARITIES = torch.tensor([[1.0, 0.0, -1.0, 0.8], [0.6, 0.8, -0.6, 0.96], [0.0, 1.0, 0.0, 0.6]])


def test_the_similarities_of_the_teacher() -> None:
    assert targets_of(BATCH).teacher is None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = targets_of(TAUGHT).teacher
    assert found is not None
    torch.testing.assert_close(found, SIMILARITIES)


def process(number: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=number, world_size=2)
    try:
        images, captions = (slice(0, 2), slice(0, 3)) if number == 0 else (slice(2, 3), slice(3, 4))
        of_captions = {"caption_image_id", "caption_text_id", "teacher_text"}
        mine: Any = {name: value[captions if name in of_captions else images] for name, value in TAUGHT.items()}
        assert targets_of(mine).positive.int().tolist() == EXPECTED
        teacher, alone = targets_of(mine).teacher, targets_of(mine, everywhere=False).teacher
        assert teacher is not None
        assert alone is not None
        torch.testing.assert_close(teacher, SIMILARITIES)
        torch.testing.assert_close(alone, SIMILARITIES[images, captions])
        assert targets_of(mine, everywhere=False).positive.shape == ((2, 3) if number == 0 else (1, 1))
        mine |= {"image_text_ids": mine["image_text_ids"][:, :0]}
        assert targets_of(mine).positive.sum() == 4
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_over_two_processes(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(process, (str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call,attr-defined]


COLOURS = ["red", "orange", "yellow", "lime", "green", "mint", "cyan", "azure", "blue", "violet", "magenta", "pink"]


def coloured_pictures(folder: Path) -> Path:
    """A table of 120 pictures to train with and 120 to measure; twelve captions are used ten times in each."""
    rng = np.random.default_rng(0)
    table = folder / "captions.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption", "part"])
        for part in ("train", "val"):
            for number in range(120):
                colour = hsv_to_rgb((number % 12 / 12, 1, 0.9)) + rng.normal(0, 0.05, (32, 32, 3))
                name = f"{part}_{number}.png"
                Image.fromarray((colour.clip(0, 1) * 255).astype(np.uint8)).save(folder / name)
                writer.writerow([name, f"a {COLOURS[number % 12]} picture", part])
    return table


@pytest.mark.slow
def test_pictures_that_share_their_captions(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing can tell them apart, so a perfect model has no loss, and finds a right one of ten, but not its own."""
    monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "tests")
    caplog.set_level("INFO")
    config = [
        f"hydra.searchpath=[file://{Path(__file__).parents[1] / 'conf'}]", "model/image_encoder=patches",
        "model/text_encoder=bow", "model.dropout=0", "model.image_encoder.num_features=32",
        "+model.image_encoder.dropout=0", "data=table",
        f"data.path={coloured_pictures(tmp_path)}", "data.split_column=part", "data.split=official",
        "data.image_size=32", "data.batch_size=24", "data.augment=null", "optim.lr=1e-2",
        "optim.text_encoder_lr_scale=1", "optim.projection_lr_scale=1", "trainer=cpu", "trainer.max_epochs=12",
        "trainer.check_val_every_n_epoch=12", "logger=none", "callbacks.progress=null", "callbacks.examples=null",
        "baseline=false", "bundle=false",
    ]  # fmt: skip
    metrics, _ = train(compose(*config))
    assert "240 captions of 12 texts are shared by several images" in caplog.text
    assert metrics["train/loss_epoch"] < 0.1 < 2 < metrics["train/chance_loss"]
    assert metrics["val/loss"] < 0.1
    assert metrics["val/t2i_r@1"] == pytest.approx(0.1)
    assert metrics["val/t2i_r@1_equal"] == metrics["val/i2t_r@1_equal"] == 1
    assert metrics["val/i2t_r@1"] <= 0.1  # its own caption is tied with nine others, but for the rounding of sums
    assert metrics.keys() <= json.loads((tmp_path / "runs" / "run" / "metrics.json").read_text()).keys()

    again, _ = evaluate(compose(f"ckpt_path={tmp_path / 'runs' / 'run'}", "split=val", "trainer=cpu", name="evaluate"))
    names = [name for name in again if name.endswith("_equal")]
    assert {name: again[name] for name in names} == pytest.approx({name: metrics[name] for name in names})
    assert len(names) == 13
