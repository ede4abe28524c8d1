"""Embedding as a program: what it writes is what the model says, and its errors name the fix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import imtext
from imtext.data.teacher import read_teacher
from imtext.embed import embed
from imtext.errors import CheckpointError, ConfigError, DataError
from imtext.evaluate import evaluate
from imtext.export import export_run
from imtext.train import train
from imtext.training.checkpoints import load_model
from imtext.training.trained_data import build_data
from tests.conftest import Compose
from tests.models.clip.folders import write_clip
from tests.runs import INTERRUPT, QUICK, interrupt_at, same, weights, without_time

SHAPES = ["data=shapes", "data.num_images=40", "data.ratios=[0.5,0.25,0.25]", "trainer=cpu"]


@pytest.fixture
def clip(compose: Compose, tmp_path: Path) -> list[str]:
    """Settings of a tiny pretrained model on drawings."""
    name = write_clip(tmp_path / "clip")
    return ["model=clip", f"model.name={name}", *SHAPES, f"output={tmp_path / 'out' / 'teacher.safetensors'}"]


def test_a_pretrained_teacher(compose: Compose, clip: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = embed(compose(*clip, name="embed"))
    teacher = read_teacher(path)
    assert teacher.images.shape == (30, 20)  # 20 pictures of train, 10 of val
    assert teacher.texts.shape == (150, 20)
    assert teacher.facts["imtext"] == imtext.__version__
    assert teacher.facts["model"].endswith("clip")
    printed = capsys.readouterr().out.splitlines()[-1]
    assert printed.startswith(f"Teacher: {path}: 30 pictures and 150 captions of train, val, 0.0 MB; temperature 0.0")
    assert [each.name for each in path.parent.iterdir()] == ["teacher.safetensors"]
    embed(compose(*clip, "splits=[test]", name="embed"))  # a teacher may take the place of another
    assert len(read_teacher(path).images) == 10


def test_other_files_are_not_replaced(compose: Compose, clip: list[str], tmp_path: Path) -> None:
    weights = tmp_path / "clip" / "model.safetensors"
    before = weights.read_bytes()
    with pytest.raises(DataError, match=r"output=.*model\.safetensors exists and holds something else"):
        embed(compose(*clip, f"output={weights}", name="embed"))
    assert weights.read_bytes() == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "ckpt_path is needed: give ckpt_path=…, or a pretrained model"),
        (["ckpt_path=[]"], "ckpt_path is needed"),
        (["ckpt_path=[a.ckpt,b.ckpt]", "model=clip"], "exclude each other"),
        (["ckpt_path=best", "splits=[dev]"], "'train', 'val' or 'test'"),
        (["ckpt_path=best", "splits=[]"], "splits"),
    ],
)
def test_mistakes_are_refused(compose: Compose, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        embed(compose(*overrides, name="embed"))


def test_every_checkpoint_must_exist(compose: Compose, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*a\.ckpt"):
        embed(compose("ckpt_path=[a.ckpt,b.ckpt]", f"output={tmp_path / 't'}", "trainer=cpu", name="embed"))


@pytest.mark.slow
def test_an_ensemble_has_the_mean_similarity(compose: Compose, tmp_path: Path) -> None:
    checkpoints = []
    for seed in (1, 2):
        run = f"teacher{seed}"
        train(compose(*QUICK, f"seed={seed}", "trainer.max_epochs=1", "optim.lr=1e-3", output=run))
        checkpoints.append(str(tmp_path / "runs" / run))
    output = tmp_path / "teacher.safetensors"
    embed(compose(f"ckpt_path=[{','.join(checkpoints)}]", f"output={output}", "trainer=cpu", name="embed"))
    teacher = read_teacher(output)
    assert teacher.images.shape[1] == 64

    found = []
    for checkpoint in checkpoints:
        trained = load_model(Path(checkpoint) / "checkpoints" / "best.ckpt")
        data = build_data(compose(name="evaluate").data, trained)
        row, other = data.rows["train"][3], data.rows["val"][0]
        with torch.inference_mode():
            images = trained.model.encode_image(data.pictures().batch([row, other], []))
        found.append((images @ trained.encode_texts([data.captions[row][2], data.captions[other][0]]).T).numpy())
    similarity = teacher.image_batch([row, other]) @ teacher.text_batch([(row, 2), (other, 0)]).T
    np.testing.assert_allclose(similarity, np.mean(found, axis=0), atol=2e-3)


@pytest.mark.slow
def test_a_student_learns_resumes_and_outlives_its_teacher(
    compose: Compose, clip: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = embed(compose(*clip, name="embed"))
    settings = [
        *QUICK, "data.ratios=[0.5,0.25,0.25]", "loss=distillation", f"data.teacher={teacher}", "trainer.max_epochs=3",
        "optim.lr=1e-3", "data.captions_per_image=2",
    ]  # fmt: skip
    straight, objects = train(compose(*settings, output="straight"))
    *_, last = next(each.history for each in objects["trainer"].callbacks if hasattr(each, "history"))
    assert last["train/loss_epoch"] < last["train/chance_loss"]
    interrupt_at(monkeypatch, 1, 1)
    with pytest.raises(RuntimeError, match="interrupted"):
        train(compose(*settings, INTERRUPT, output="resumed"))
    checkpoint = tmp_path / "runs" / "resumed" / "checkpoints" / "last.ckpt"
    resumed, _ = train(compose(*settings, f"ckpt_path={checkpoint}", output="resumed"))
    assert same(weights(tmp_path / "runs" / "straight"), weights(tmp_path / "runs" / "resumed"))
    assert without_time(resumed) == without_time(straight)

    teacher.unlink()
    best = checkpoint.with_name("best.ckpt")
    again, _ = evaluate(compose(f"ckpt_path={best}", "split=val", "trainer=cpu", name="evaluate", output="again"))
    assert again["val/rsum"] == pytest.approx(straight["val/rsum"], abs=1e-5)
    assert export_run(str(best), tmp_path / "bundle").manifest["embed_dim"] == 32
    with pytest.raises(DataError, match="no such file"):
        train(compose(*settings, "trainer.max_epochs=4", f"ckpt_path={checkpoint}", output="resumed"))
