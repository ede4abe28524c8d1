"""Training as a whole: every experiment runs, learns, repeats itself, and goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from imtext.config.schema import CONFIG_DIR
from imtext.errors import BundleError, CheckpointError, ConfigError, ImtextError
from imtext.evaluate import evaluate
from imtext.train import train
from imtext.training.checkpoints import epochs_done, find_checkpoint, load_model, read_checkpoint, strip
from tests.conftest import TINY, TINY_SHAPES, Compose

FOLDER = CONFIG_DIR / "experiment"
EXPERIMENTS = sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.yaml"))
QUICK = [*TINY_SHAPES, "logger=none", "callbacks.examples=null", "baseline=false"]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_runs_a_step(compose: Compose, pictures: Path, experiment: str) -> None:
    overrides = [f"experiment={experiment}", "debug=fdr", *TINY, "data.image_size=32"]
    config = compose(*overrides)
    if "path" in config.data:
        config.data.path = str(pictures)
        config.data.split = "ratios"
    elif "num_images" in config.data:
        config.data.num_images = 60
    metrics, _ = train(config)
    assert metrics["train/loss_epoch"] > 0


@pytest.mark.parametrize("debug", ["fdr", "overfit", "limit", "profiler"])
def test_every_debug_mode_runs(compose: Compose, debug: str) -> None:
    config = compose(*QUICK, f"debug={debug}", "data.num_images=100")
    config.trainer.max_epochs = min(2, config.trainer.max_epochs)
    train(config)


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
    from imtext.evaluation.metrics import RetrievalMetrics

    metrics = RetrievalMetrics()
    # the batch as it was trained on, batch statistics included: 8 images say little about running averages
    module.model.image_encoder.train()
    for batch in data.train_dataloader():
        with torch.no_grad():
            images, texts = module.embed(batch)
            metrics.update(images, texts, batch["image_id"], batch["caption_image_id"])
    figures = metrics.compute()
    assert figures["t2i_r@1"] == figures["i2t_r@1"] == 1


class Interrupt(Callback):
    """Fails in the middle of an epoch, as a killed process would."""

    epoch = 2

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            raise RuntimeError("the lights went out")


def state(folder: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = read_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]
    return weights


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(one[name].equal(two[name]) for name in one)


def without_time(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name != "seconds"}


class TestRepeatability:
    LONG = (
        *QUICK,
        "trainer.max_epochs=4",
        "stages=gradual",
        "data.captions_per_image=2",
        "optim.lr=1e-3",
        "stages.heads.after_epochs=0",
        "stages.top.after_epochs=1",
        "stages.whole.after_epochs=2",
        "data.augment={_target_:imtext.data.augment.Augment}",
        "model.text_encoder.word_init=lsa",
        "stages.heads.views=3",
        "stages.top.views=3",
        "+callbacks.average._target_=imtext.training.callbacks.AverageWeights",
        "+callbacks.average.decay=0.98",  # not exact for weights that stand still, which features must not follow
    )

    def test_same_seed_same_bits(self, compose: Compose, tmp_path: Path) -> None:
        one, _ = train(compose(*self.LONG, output="one"))
        two, _ = train(compose(*self.LONG, output="two"))
        assert without_time(one) == without_time(two)
        assert same(state(tmp_path / "runs/one"), state(tmp_path / "runs/two"))
        zero, _ = train(compose(*self.LONG, "seed=0", output="zero"))
        again, _ = train(compose(*self.LONG, "seed=0", output="again"))
        assert without_time(zero) == without_time(again) != without_time(one)  # 0 is a seed like others

    @pytest.mark.parametrize(("stage", "workers"), [("heads", 0), ("top", 2), ("whole", 2), ("whole", 0)])
    def test_interrupted_in_any_stage_and_resumed_equals_straight(
        self, compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, workers: int
    ) -> None:
        straight, first = train(compose(*self.LONG, output="straight"))
        epoch = {"heads": 0, "top": 1, "whole": 2}[stage]
        monkeypatch.setattr(Interrupt, "epoch", epoch)
        monkeypatch.setattr("tests.conftest.Interrupt", Interrupt, raising=False)
        monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "tests")
        broken = compose(
            *self.LONG,
            f"data.num_workers={workers}",
            "+callbacks.interrupt._target_=tests.conftest.Interrupt",
            output="resumed",
        )
        with pytest.raises(RuntimeError, match="lights"):
            train(broken)
        left = read_checkpoint(tmp_path / "runs/resumed/checkpoints/last.ckpt")
        assert epochs_done(left) == epoch
        made = {path.name for path in (tmp_path / "cache").glob("features-*.npy")}
        if workers:  # what was cached may be gone: it is made again, of the weights that were frozen
            for name in made:
                (tmp_path / "cache" / name).unlink()

        resumed, objects = train(compose(*self.LONG, f"data.num_workers={workers}", "ckpt_path=last", output="resumed"))
        assert {path.name for path in (tmp_path / "cache").glob("features-*.npy")} <= made
        assert without_time(resumed) == without_time(straight)
        assert same(state(tmp_path / "runs/straight"), state(tmp_path / "runs/resumed"))
        ours, theirs = (
            read_checkpoint(tmp_path / f"runs/{name}/checkpoints/last.ckpt") for name in ("straight", "resumed")
        )
        assert ours["lr_schedulers"] == theirs["lr_schedulers"]
        assert [group["lr"] for group in ours["optimizer_states"][0]["param_groups"]] == [
            group["lr"] for group in theirs["optimizer_states"][0]["param_groups"]
        ]
        best = objects["trainer"].checkpoint_callback
        assert best.best_model_path == str(tmp_path / "runs/resumed/checkpoints/best.ckpt")
        assert best.best_model_score == first["trainer"].checkpoint_callback.best_model_score
        history = next(c.history for c in objects["trainer"].callbacks if hasattr(c, "history"))
        assert [line["epoch"] for line in history] == [1, 2, 3, 4]

    def test_interrupted_before_the_first_epoch_ended(
        self, compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        straight, _ = train(compose(*self.LONG, output="straight"))
        monkeypatch.setattr(Interrupt, "on_train_batch_end", lambda *_: (_ for _ in ()).throw(RuntimeError("early")))
        monkeypatch.setattr("tests.conftest.Interrupt", Interrupt, raising=False)
        monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "tests")
        with pytest.raises(RuntimeError, match="early"):
            train(compose(*self.LONG, "+callbacks.interrupt._target_=tests.conftest.Interrupt", output="resumed"))
        resumed, _ = train(compose(*self.LONG, "ckpt_path=last", output="resumed"))
        assert without_time(resumed) == without_time(straight)

    def test_more_epochs_after_the_end(self, compose: Compose, tmp_path: Path) -> None:
        train(compose(*self.LONG, output="run"))
        more, objects = train(compose(*self.LONG, "trainer.max_epochs=5", "ckpt_path=last", output="run"))
        assert more["epochs"] == 5
        assert objects["trainer"].global_step == 5 * 4


class TestCheckpoints:
    @pytest.fixture
    def run(self, compose: Compose, tmp_path: Path) -> Path:
        train(compose(*QUICK, "trainer.max_epochs=3", "optim.lr=1e-3"))
        return tmp_path / "runs" / "run"

    def test_last_is_the_last_epoch_even_when_best_is_not(self, run: Path) -> None:
        assert read_checkpoint(run / "checkpoints" / "last.ckpt")["epoch"] == 2
        assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
        best = json.loads((run / "metrics.json").read_text())["best_epoch"]
        assert read_checkpoint(run / "checkpoints" / "best.ckpt")["epoch"] == best - 1

    def test_holds_only_plain_values(self, run: Path) -> None:
        content = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
        assert json.dumps(content["imtext"])  # JSON knows no classes

    def test_model_is_rebuilt_from_the_checkpoint_alone(self, run: Path) -> None:
        trained = load_model(run / "checkpoints" / "best.ckpt")
        ids, mask = map(torch.from_numpy, trained.tokenizer(["a red circle", "two blue stars"]))
        embeddings = trained.model.encode_text(ids, mask)
        assert embeddings.shape == (2, 32)
        assert trained.preprocess.image_size == 32

    def test_evaluate_agrees_with_training(self, run: Path, compose: Compose) -> None:
        trained = json.loads((run / "metrics.json").read_text())
        for split in ("val", "test"):
            config = compose(f"ckpt_path={run}", f"split={split}", "trainer=cpu", name="evaluate", output="evaluated")
            figures, _ = evaluate(config)
            for name in ("t2i_r@10", "i2t_mrr", "rsum", "positive_similarity"):
                assert figures[f"{split}/{name}"] == pytest.approx(trained[f"{split}/{name}"], abs=1e-5)
        folder = run.parent / "evaluated"
        assert json.loads((folder / "metrics.json").read_text()) == pytest.approx(figures)
        lines = [json.loads(line) for line in (folder / "ranks.jsonl").read_text().splitlines()]
        ranks = [line["rank"] for line in lines if line["direction"] == "t2i"]
        assert len(lines) == 4 * 5 + 4
        assert sum(rank <= 1 for rank in ranks) / len(ranks) == pytest.approx(figures["test/t2i_r@1"])

    def test_evaluate_on_other_data(self, run: Path, compose: Compose, pictures: Path) -> None:
        config = compose(
            f"ckpt_path={run}", "trainer=cpu", "data=table", f"data.path={pictures / 'captions.txt'}",
            f"data.image_root={pictures / 'Images'}", "data.ratios=[0,0,1]", "data.image_size=32", name="evaluate",
        )  # fmt: skip
        figures, objects = evaluate(config)
        assert len(objects["datamodule"].rows["test"]) == 12
        assert 0 <= figures["test/rsum"] <= 6

    def test_finding_one(self, run: Path, tmp_path: Path) -> None:
        runs = run.parent
        last, best = run / "checkpoints" / "last.ckpt", run / "checkpoints" / "best.ckpt"
        assert find_checkpoint("last", runs) == last
        assert find_checkpoint("best", runs) == find_checkpoint(str(run), runs) == best
        newer = runs / "newer" / "checkpoints"
        newer.mkdir(parents=True)
        (newer / "last.ckpt").write_bytes(b"")
        with pytest.raises(CheckpointError, match="newer"):  # not another run's best
            find_checkpoint("best", runs)
        (newer / "last.ckpt").unlink()
        assert find_checkpoint(str(last), runs) == last
        assert find_checkpoint(str(run), runs, "last") == last  # to go on from
        with pytest.raises(CheckpointError, match="Train first"):
            find_checkpoint("last", tmp_path / "empty")
        with pytest.raises(CheckpointError, match="no checkpoint at"):
            find_checkpoint(str(tmp_path / "none.ckpt"), runs)

    def test_a_moved_run_keeps_its_best_score(self, run: Path, compose: Compose) -> None:
        best = read_checkpoint(run / "checkpoints" / "last.ckpt")["callbacks"]
        score = next(state["best_model_score"] for state in best.values() if "best_model_score" in state)
        run.rename(run.parent / "moved")
        lazy = ("trainer.max_epochs=4", "optim.lr=1e-3")
        _, objects = train(compose(*QUICK, *lazy, "ckpt_path=last", output="moved"))
        kept = objects["trainer"].checkpoint_callback
        assert kept.best_model_score >= score
        assert kept.best_model_path == str(run.parent / "moved" / "checkpoints" / "best.ckpt")

    def test_the_best_of_another_folder_comes_along(self, run: Path, compose: Compose) -> None:
        """A new run that never gets better than the one it goes on from still has a best model."""
        worse = (*QUICK, "trainer.max_epochs=4", "optim.lr=1e-3", "optim.schedule=constant")
        before = read_checkpoint(run / "checkpoints" / "last.ckpt")["callbacks"]
        score = next(each["best_model_score"] for each in before.values() if each.get("best_model_score") is not None)
        for there in ("with", "without"):
            if there == "without":
                (run / "checkpoints" / "best.ckpt").unlink()
            last = run / "checkpoints" / "last.ckpt"
            metrics, objects = train(compose(*worse, f"ckpt_path={last}", output=there))
            assert "test/rsum" in metrics
            kept = objects["trainer"].checkpoint_callback
            assert kept.best_model_path == str(run.parent / there / "checkpoints" / "best.ckpt")
            assert Path(kept.best_model_path).is_file()
            assert there == "without" or kept.best_model_score >= score

    def test_resumed_after_its_end_a_run_has_the_same_figures(self, run: Path, compose: Compose) -> None:
        before = json.loads((run / "metrics.json").read_text())
        again, _ = train(compose(*QUICK, "trainer.max_epochs=3", "optim.lr=1e-3", "ckpt_path=last"))
        assert {name: again.get(name) for name in before if name != "seconds"} == without_time(before)

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("model.embed_dim=16", "trained with 32"),
            ("optim.lr=1e-2", "trained with 0.001"),
            ("optim.image_encoder_layer_decay=0.8", "trained with 1"),
            ("data.vocab_size=20", "another vocabulary"),
            ("trainer.max_epochs=2", "3 epochs behind it"),
        ],
    )
    def test_what_a_resume_cannot_change(self, run: Path, compose: Compose, override: str, message: str) -> None:
        with pytest.raises(CheckpointError, match=message):
            train(compose(*QUICK, "optim.lr=1e-3", "trainer.max_epochs=3", "ckpt_path=last", override))

    def test_what_was_chosen_is_the_last_at_once(
        self, run: Path, compose: Compose, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        best, last = run / "checkpoints" / "best.ckpt", run / "checkpoints" / "last.ckpt"
        best.write_bytes(last.read_bytes())
        more = [*QUICK, "optim.lr=1e-3", "trainer.max_epochs=4"]
        train(compose(*more, "ckpt_path=last"))
        assert epochs_done(read_checkpoint(last)) == 4
        monkeypatch.setattr(Interrupt, "on_train_batch_end", lambda *_: (_ for _ in ()).throw(RuntimeError("early")))
        monkeypatch.setattr("tests.conftest.Interrupt", Interrupt, raising=False)
        monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "tests")
        with pytest.raises(RuntimeError, match="early"):
            train(compose(*more, f"ckpt_path={best}", "+callbacks.interrupt._target_=tests.conftest.Interrupt"))
        assert epochs_done(read_checkpoint(last)) == 3

    def test_a_model_without_training_state_cannot_go_on(self, run: Path, compose: Compose) -> None:
        torch.save(strip(read_checkpoint(run / "checkpoints" / "best.ckpt")), run / "slim.ckpt")
        assert load_model(run / "slim.ckpt").model.embed_dim == 32
        with pytest.raises(CheckpointError, match=r"imtext\.evaluate"):
            train(compose(*QUICK, f"ckpt_path={run / 'slim.ckpt'}"))

    def test_foreign_and_broken_files_are_refused(self, tmp_path: Path) -> None:
        torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
        (tmp_path / "broken.ckpt").write_bytes(b"PK\x03\x04 half a file")
        (tmp_path / "empty.ckpt").write_bytes(b"")
        torch.save({"imtext": Path}, tmp_path / "pickled.ckpt")  # a class in it
        for name in ("foreign", "broken", "empty", "pickled"):
            with pytest.raises(CheckpointError, match=name):
                read_checkpoint(tmp_path / f"{name}.ckpt")


def test_csv_logger(compose: Compose, tmp_path: Path) -> None:
    train(compose(*TINY_SHAPES, "logger=csv", "trainer.max_epochs=2", "trainer.log_every_n_steps=1"))
    header = (tmp_path / "runs/run/csv/version_0/metrics.csv").read_text().splitlines()[0]
    assert {"val/t2i_r@10", "train/loss_epoch", "test/rsum"} <= set(header.split(","))


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


def test_missing_accelerator_trains_on_the_cpu(compose: Compose, caplog: pytest.LogCaptureFixture) -> None:
    if torch.backends.mps.is_available():
        pytest.skip("this machine has MPS")
    _, objects = train(compose(*QUICK, "trainer=mps", "debug=fdr"))
    assert objects["trainer"].strategy.root_device.type == "cpu"
    assert [r.message for r in caplog.records if "mps" in r.message] == [
        "trainer.accelerator=mps is not available here; training on the CPU instead"
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.precision=fp16", r"lightning\.pytorch\.Trainer"),
        ("trainer.max_epochs=-1", "max_epochs must be above zero"),
        ("callbacks.early_stopping.mode=maxx", "StopEarly"),
        ("data.ratios=[0,0.5,0.5]", "0 train images"),
        ("+model.text_encoder.vocab_size=5", "data.vocab_size"),
        ("trainer.accelerator=tpu", "auto, cpu, gpu, cuda or mps"),
        ("trainer.max_epochs=null", "max_epochs must be above zero"),
        ("trainer.check_val_every_n_epoch=0", "counts from 1"),
        ("trainer.accumulate_grad_batches=0", "counts from 1"),
        ("trainer.limit_val_batches=0", r"callbacks\.early_stopping waits for val/rsum"),
        ("trainer.limit_train_batches=0.001", "limit_train_batches"),
        ("callbacks.best.monitor=val/t2i_r10", r"is not measured\. Did you mean val/t2i_r@10"),
        ("callbacks.early_stopping.monitor=rsum", "is not measured"),
        (
            "+callbacks.examples={_target_:imtext.training.callbacks.RetrievalExamples,output_dir:x,every_n_epochs:0}",
            "counts from 1",
        ),
        ("+trainer.overfit_batches=1", "debug=overfit"),
        ("data.num_workers=-1", "a number from 0"),
        ("optim.betas=[0.9]", "two numbers"),
    ],
)
def test_bad_values_are_messages(compose: Compose, override: str, message: str) -> None:
    with pytest.raises(ImtextError, match=message):
        train(
            compose(
                *(each for each in QUICK if "examples" not in each),
                override.lstrip("+") if "vocab" in override else override,
            )
        )


def test_the_last_epoch_is_always_measured(compose: Compose, tmp_path: Path) -> None:
    _, objects = train(compose(*QUICK, "trainer.max_epochs=5", "trainer.check_val_every_n_epoch=3"))
    assert (tmp_path / "runs/run/checkpoints/best.ckpt").is_file()
    history = next(callback.history for callback in objects["trainer"].callbacks if hasattr(callback, "history"))
    assert [line["epoch"] for line in history if "val/rsum" in line] == [3, 5]


def test_without_stages_everything_learns(compose: Compose) -> None:
    _, objects = train(compose(*QUICK, "~stages", "debug=fdr"))
    assert objects["module"].plan.frozen_blocks(0) == 0


def test_stopped_early_it_stays_so_until_there_is_patience(compose: Compose, caplog: pytest.LogCaptureFixture) -> None:
    lazy = (*QUICK, "optim.lr=1e-9", "optim.schedule=constant")  # nothing gets better
    first, _ = train(compose(*lazy, "trainer.max_epochs=6", "callbacks.early_stopping.patience=1"))
    assert first["epochs"] < 6
    assert "nothing has been learnt" in caplog.text  # however short it was
    again, _ = train(compose(*lazy, "trainer.max_epochs=6", "callbacks.early_stopping.patience=1", "ckpt_path=last"))
    assert without_time(again) == without_time(first)
    more, _ = train(compose(*lazy, "trainer.max_epochs=6", "callbacks.early_stopping.patience=9", "ckpt_path=last"))
    assert more["epochs"] == 6


def test_a_failing_export_loses_nothing(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise BundleError("the disk is full.")

    monkeypatch.setattr("imtext.export.export", fail)
    with pytest.raises(BundleError, match=r"disk is full.*imtext export .*best\.ckpt"):
        train(compose(*QUICK, "trainer.max_epochs=1", "bundle=true"))
    assert "test/rsum" in json.loads((tmp_path / "runs/run/metrics.json").read_text())
    assert (tmp_path / "runs/run/curves.png").is_file()


def test_without_a_logger(compose: Compose) -> None:
    metrics, _ = train(compose(*TINY_SHAPES, "~logger", "callbacks.examples=null", "trainer.max_epochs=1"))
    assert "test/rsum" in metrics


def test_no_validation_batches(compose: Compose) -> None:
    metrics, _ = train(
        compose(*QUICK, "trainer.limit_val_batches=0", "trainer.max_epochs=1", "callbacks.best=null",
                "callbacks.early_stopping=null", "baseline=true")
    )  # fmt: skip
    assert "test/rsum" in metrics
    assert "val/rsum" not in metrics


def test_several_devices_are_refused(compose: Compose) -> None:
    with pytest.raises(ConfigError, match="one device"):
        train(compose(*QUICK, "trainer.devices=2"))


@pytest.mark.parametrize("precision", ["bf16-mixed"])
def test_mixed_precision(compose: Compose, precision: str) -> None:
    metrics, _ = train(compose(*QUICK, f"trainer.precision={precision}", "trainer.max_epochs=1"))
    assert metrics["train/loss_epoch"] < 100


def test_the_average_is_measured_and_saved(compose: Compose, tmp_path: Path) -> None:
    average = ["+callbacks.average._target_=imtext.training.callbacks.AverageWeights", "+callbacks.average.decay=0.9"]
    metrics, objects = train(compose(*QUICK, "trainer.max_epochs=3", "optim.lr=1e-3", *average))
    content = read_checkpoint(tmp_path / "runs/run/checkpoints/last.ckpt")
    learning, saved = content["current_model_state"], content["state_dict"]
    assert not same(learning, saved)
    # What was measured at the end is the best checkpoint, and neither the learning weights nor the last average.
    best = read_checkpoint(tmp_path / "runs/run/checkpoints/best.ckpt")["state_dict"]
    assert same(best, objects["module"].state_dict())
    best_epoch = objects["trainer"].checkpoint_callback.best_model_score
    assert metrics["val/rsum"] == pytest.approx(float(best_epoch), abs=1e-6)


def test_stages_are_announced(compose: Compose, caplog: pytest.LogCaptureFixture) -> None:
    stages = ["stages=gradual", "stages.top.after_epochs=1", "stages.whole.after_epochs=2", "trainer.max_epochs=3"]
    caplog.set_level("INFO", "imtext")
    train(compose(*QUICK, *stages))
    for text in (
        "epoch 1/3 heads",
        "epoch 2/3 top",
        "epoch 3/3 whole",
        "pictures after 14 blocks, variants of each: 1",
    ):
        assert text in caplog.text
