"""Training as a whole: every experiment runs, learns and repeats itself, and writes its results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient

from imtext.config.paths import CONFIG_DIR
from imtext.errors import BundleError, DivergedError, ImtextError
from imtext.evaluation.metrics import RetrievalMetrics
from imtext.train import task, train
from imtext.training.checkpoints import load_model, read_checkpoint
from tests.conftest import TINY, TINY_SHAPES, Compose
from tests.models.clip.folders import write_clip
from tests.models.tiny_hf import tiny_folder
from tests.runs import QUICK, same, weights, without_time

STAGES = ("stages=gradual", "stages.top.after_epochs=1", "stages.whole.after_epochs=2")
WHOLE = ("finetune_clip",)  # experiments with a pretrained dual encoder instead of two towers
PRETRAINED_TEXT = ("flickr8k_pretrained_text",)  # experiments with a text tower from the hub
FOLDER = CONFIG_DIR / "experiment"
EXPERIMENTS = sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.yaml"))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_runs_a_step(compose: Compose, pictures: Path, experiment: str, tmp_path: Path) -> None:
    tiny = [setting for setting in TINY if not setting.startswith("model.")] if experiment in WHOLE else TINY
    config = compose(f"experiment={experiment}", "debug=fdr", *tiny, "data.image_size=32")
    if experiment in WHOLE:
        config.model.name = str(write_clip(tmp_path / "model"))
    if experiment in PRETRAINED_TEXT:
        config.model.text_encoder.name = str(tiny_folder(tmp_path / "text"))
    if config.data._target_ == "imtext.data.Table":
        config.data.path, config.data.image_root = str(pictures / "captions.txt"), str(pictures / "Images")
    elif "path" in config.data:
        config.data.path = str(pictures)
        config.data.split = "ratios"
    elif "num_images" in config.data:
        config.data.num_images = 60
    metrics, _ = train(config)
    assert metrics["train/loss_epoch"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("debug", ["fdr", "overfit", "limit", "profiler"])
def test_every_debug_mode_runs(compose: Compose, debug: str) -> None:
    config = compose(*QUICK, f"debug={debug}", "data.num_images=100")
    config.trainer.max_epochs = min(2, config.trainer.max_epochs)
    train(config)


@pytest.mark.slow
def test_learns_eight_pairs_by_heart(compose: Compose) -> None:
    config = compose(
        *QUICK,
        "data.num_images=12",
        "data.ratios=[0.7,0.15,0.15]",
        "data.image_size=64",
        "data.captions_per_image=null",
        "model.dropout=0",
        "optim.lr=3e-3",
        "optim.text_encoder_lr_scale=1",
        "optim.projection_lr_scale=1",
        "trainer.max_epochs=50",
        "callbacks.best=null",  # keep the last epoch
        "callbacks.early_stopping=null",
    )
    _, objects = train(config)
    data, module = objects["datamodule"], objects["module"].eval()
    assert len(data.rows["train"]) == 8
    metrics = RetrievalMetrics()
    # With the batch statistics of training: eight images say little about running averages.
    module.model.image_encoder.train()
    for batch in data.train_dataloader():
        with torch.no_grad():
            images, texts = module.embed(batch)
            metrics.update(images, texts, batch["image_id"], batch["caption_image_id"])
    figures = metrics.compute()
    assert figures["t2i_r@1"] == figures["i2t_r@1"] == 1


@pytest.mark.slow
def test_same_seed_same_bits(compose: Compose, tmp_path: Path) -> None:
    config = (*QUICK, *STAGES, "trainer.max_epochs=3")
    first, _ = train(compose(*config, output="first"))
    second, _ = train(compose(*config, output="second"))
    assert without_time(first) == without_time(second)
    assert same(weights(tmp_path / "runs/first"), weights(tmp_path / "runs/second"))
    zero, _ = train(compose(*config, "seed=0", output="zero"))
    again, _ = train(compose(*config, "seed=0", output="again"))
    assert without_time(zero) == without_time(again) != without_time(first)  # 0 is a valid seed


@pytest.mark.slow
def test_the_last_checkpoint_is_that_of_the_last_epoch(compose: Compose, tmp_path: Path) -> None:
    config = compose(*QUICK, "trainer.max_epochs=3", "optim.lr=1e-3", "optimized_metric=val/rsum")
    optimised = task(config)
    checkpoints = tmp_path / "runs" / "run" / "checkpoints"
    assert {path.name for path in checkpoints.iterdir()} == {"best.ckpt", "last.ckpt"}
    assert read_checkpoint(checkpoints / "last.ckpt")["epoch"] == 2
    metrics = json.loads((tmp_path / "runs" / "run" / "metrics.json").read_text())
    assert metrics["val/rsum"] == optimised
    assert read_checkpoint(checkpoints / "best.ckpt")["epoch"] == metrics["best_epoch"] - 1
    assert load_model(checkpoints / "best.ckpt").preprocess.image_size == 32


@pytest.mark.slow
def test_csv_logger(compose: Compose, tmp_path: Path) -> None:
    train(compose(*TINY_SHAPES, "logger=csv", "trainer.max_epochs=2", "trainer.log_every_n_steps=1"))
    header = (tmp_path / "runs/run/csv/version_0/metrics.csv").read_text().splitlines()[0]
    assert {"val/t2i_r@10", "train/loss_epoch", "test/rsum"} <= set(header.split(","))


@pytest.mark.slow
def test_pictures_curves_and_metrics_are_written(compose: Compose, tmp_path: Path, capsys: Any) -> None:
    train(compose(*TINY_SHAPES, "logger=none", "trainer.max_epochs=2", "callbacks.examples.every_n_epochs=1"))
    folder = tmp_path / "runs" / "run"
    names = {path.name for path in (folder / "examples").iterdir()}
    assert names == {f"{way}_epoch_00{n}.png" for way in ("text_to_image", "image_to_text") for n in (1, 2)}
    assert (folder / "curves.png").stat().st_size > 5_000
    last_line = capsys.readouterr().out.strip().splitlines()[-1]
    assert last_line == f"Metrics: {folder / 'metrics.json'}"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert 0 <= metrics["test/t2i_r@10"] <= 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.precision=fp16", r"lightning\.pytorch\.Trainer"),
        ("trainer.max_epochs=-1", "max_epochs must be above zero"),
        ("callbacks.early_stopping.mode=maxx", "StopEarly"),
        ("data.ratios=[0,0.5,0.5]", "0 train images"),
        ("trainer.accelerator=tpu", "auto, cpu, gpu, cuda or mps"),
        ("trainer.limit_val_batches=0", r"callbacks\.early_stopping waits for val/rsum"),
        ("trainer.limit_train_batches=0.001", "limit_train_batches"),
        ("callbacks.early_stopping.monitor=rsum", "is not measured"),
        (
            "+callbacks.examples={_target_:imtext.training.callbacks.RetrievalExamples,output_dir:x,every_n_epochs:0}",
            "at least 1",
        ),
        ("data.num_workers=-1", "at least 0"),
        ("optim.betas=[0.9]", "two numbers"),
    ],
)
def test_bad_values_are_messages(compose: Compose, override: str, message: str) -> None:
    with pytest.raises(ImtextError, match=message):
        train(compose(*(each for each in QUICK if "examples" not in each), override))


@pytest.mark.slow
def test_a_diverged_run_has_failed_and_offers_no_bundle(compose: Compose, database: str, tmp_path: Path) -> None:
    settings = [setting for setting in QUICK if setting not in ("logger=none", "bundle=false")]
    with pytest.raises(DivergedError, match=r"not finite.*optim\.lr=1e\+29 instead of 1e\+30"):
        train(compose(*settings, "logger.system_metrics=0", "optim.lr=1e30", "trainer.max_epochs=2"))
    client = MlflowClient(database)
    experiment = client.get_experiment_by_name("imtext")
    assert experiment is not None
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FAILED"]
    assert {path.name for path in (tmp_path / "runs" / "run" / "checkpoints").iterdir()} == {"last.ckpt"}
    assert not (tmp_path / "runs" / "run" / "bundle").exists()
    assert all(value.isfinite().all() for value in weights(tmp_path / "runs" / "run").values())  # those of the start


@pytest.mark.slow
def test_the_last_epoch_is_always_measured(compose: Compose, tmp_path: Path) -> None:
    _, objects = train(compose(*QUICK, "trainer.max_epochs=5", "trainer.check_val_every_n_epoch=3"))
    assert (tmp_path / "runs/run/checkpoints/best.ckpt").is_file()
    history = next(callback.history for callback in objects["trainer"].callbacks if hasattr(callback, "history"))
    assert [line["epoch"] for line in history if "val/rsum" in line] == [3, 5]


def test_without_stages_everything_learns(compose: Compose) -> None:
    _, objects = train(compose(*QUICK, "~stages", "debug=fdr"))
    assert objects["module"].plan.frozen_blocks(0) == 0


@pytest.mark.slow
def test_results_survive_a_failing_export(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise BundleError("the disk is full.")

    monkeypatch.setattr("imtext.export.export", fail)
    with pytest.raises(BundleError, match=r"disk is full.*imtext export .*best\.ckpt"):
        train(compose(*QUICK, "trainer.max_epochs=1", "bundle=true"))
    assert "test/rsum" in json.loads((tmp_path / "runs/run/metrics.json").read_text())
    assert (tmp_path / "runs/run/curves.png").is_file()


@pytest.mark.slow
def test_without_a_logger(compose: Compose) -> None:
    metrics, _ = train(compose(*TINY_SHAPES, "~logger", "callbacks.examples=null", "trainer.max_epochs=1"))
    assert "test/rsum" in metrics


@pytest.mark.slow
def test_no_validation_batches(compose: Compose) -> None:
    metrics, _ = train(
        compose(*QUICK, "trainer.limit_val_batches=0", "trainer.max_epochs=1", "callbacks.best=null",
                "callbacks.early_stopping=null", "baseline=true")
    )  # fmt: skip
    assert "test/rsum" in metrics
    assert "val/rsum" not in metrics


@pytest.mark.slow
def test_mixed_precision(compose: Compose) -> None:
    metrics, _ = train(compose(*QUICK, "trainer.precision=bf16-mixed", "trainer.max_epochs=1"))
    assert metrics["train/loss_epoch"] < 100


@pytest.mark.slow
def test_the_average_is_measured_and_saved(compose: Compose, tmp_path: Path) -> None:
    average = ["+callbacks.average._target_=imtext.training.callbacks.AverageWeights", "+callbacks.average.decay=0.9"]
    metrics, objects = train(compose(*QUICK, "trainer.max_epochs=3", "optim.lr=1e-3", *average))
    content = read_checkpoint(tmp_path / "runs/run/checkpoints/last.ckpt")
    learning, saved = content["current_model_state"], content["state_dict"]
    assert not same(learning, saved)
    # The final metrics are those of the best checkpoint, not of the trained weights or the last average.
    best = read_checkpoint(tmp_path / "runs/run/checkpoints/best.ckpt")["state_dict"]
    assert same(best, objects["module"].state_dict())
    best_epoch = objects["trainer"].checkpoint_callback.best_model_score
    assert metrics["val/rsum"] == pytest.approx(float(best_epoch), abs=1e-6)


@pytest.mark.slow
def test_stages_are_announced(compose: Compose, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "imtext")
    train(compose(*QUICK, *STAGES, "trainer.max_epochs=3"))
    for text in (
        "epoch 1/3 heads",
        "epoch 2/3 top",
        "epoch 3/3 whole",
        "pictures after 14 blocks, variants of each: 1",
    ):
        assert text in caplog.text
