"""A run that is interrupted and resumed equals an uninterrupted run."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch

from imtext.config.compose import compose_config
from imtext.errors import CheckpointError
from imtext.losses import SigLIP
from imtext.train import train
from imtext.training.checkpoints import FORMAT, read_checkpoint, strip
from imtext.training.resume import ResumePoint, check_resume, continue_run, epochs_done
from tests.conftest import THREADS, Compose
from tests.runs import INTERRUPT, QUICK, interrupt_at, same, weights, without_time

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
    # The average of weights that do not change is not exactly these weights; features must follow the weights.
    "+callbacks.average.decay=0.98",
)
SHORT = (*QUICK, "optim.lr=1e-3", "trainer.max_epochs=3")


def written(version: int = FORMAT, epochs: int = 2, **config: Any) -> dict[str, Any]:
    """The content of a checkpoint, as far as `check_resume` reads it."""
    loops = {"fit_loop": {"epoch_progress": {"current": {"processed": epochs}}}}
    return {"imtext": {"format": version, "config": config}, "optimizer_states": [], "loops": loops}


def asked(epochs: int = 3, **config: Any) -> dict[str, Any]:
    return {**config, "trainer": {"max_epochs": epochs}}


class TestCheckResume:
    def test_the_same_settings_and_free_ones_are_accepted(self) -> None:
        before, after = {"lr": 1, "warmup": 0.1}, {"lr": 1, "warmup": 0.2}
        check_resume(written(optim=before, seed=1), asked(optim=after, seed=2))

    def test_weights_are_in_the_checkpoint(self) -> None:
        before, after = {"image_encoder": {"weights": "a.pth"}}, {"image_encoder": {"weights": "b.pth"}}
        check_resume(written(model=before), asked(model=after))

    @pytest.mark.parametrize(
        ("content", "config", "message"),
        [
            (written(model={"embed_dim": 32}), asked(model={"embed_dim": 16}), "embed_dim=16.*trained with 32"),
            (written(optim={"lr": 1}), asked(optim={"lr": 2}), "optim.lr=2.*trained with 1"),
            (written(epochs=3), asked(epochs=2), "3 complete epochs"),
            (written(version=1), asked(), "format 1.*start a new run"),
            ({"imtext": {"format": FORMAT}}, asked(), "imtext.evaluate"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, content: dict[str, Any], config: dict[str, Any], message: str) -> None:
        with pytest.raises(CheckpointError, match=message) as refused:
            check_resume(content, config)
        assert "\n" not in str(refused.value)


def test_restoring_takes_the_weights_that_learn_and_the_ids_of_the_run() -> None:
    """With an average of the weights, a checkpoint holds both."""
    module = SimpleNamespace(run_ids={}, on_load_checkpoint=lambda _: None, loaded=None)
    module.load_state_dict = lambda state: setattr(module, "loaded", state)
    content = {"imtext": {"run_ids": {"mlflow": "abc"}}, "state_dict": "average"}
    ResumePoint(Path("last.ckpt"), content).restore(module)  # type: ignore[arg-type]
    assert module.loaded == "average"
    ResumePoint(Path("last.ckpt"), {**content, "current_model_state": "learning"}).restore(module)  # type: ignore[arg-type]
    assert module.loaded == "learning"
    assert module.run_ids == {"mlflow": "abc"}


def test_a_loss_with_other_parameters_is_refused() -> None:
    module = torch.nn.Module()
    module.loss = SigLIP(8)
    module.on_load_checkpoint = lambda _: None  # type: ignore[assignment]
    content: dict[str, Any] = {"imtext": {"run_ids": {}}, "state_dict": {}}
    with pytest.raises(CheckpointError, match=r"loss\.bias.*without ckpt_path"):
        ResumePoint(Path("last.ckpt"), content).restore(module)  # type: ignore[arg-type]


class TestContinueRun:
    def save(self, run_dir: Path, overrides: list[str] | None, version: int = FORMAT) -> Path:
        path = run_dir / "checkpoints" / "last.ckpt"
        path.parent.mkdir(parents=True)
        torch.save({"imtext": {"format": version, "overrides": overrides}}, path)
        return path

    @pytest.fixture(autouse=True)
    def root(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("IMTEXT_ROOT", str(tmp_path))
        return tmp_path

    def test_a_new_run_is_unchanged(self) -> None:
        assert continue_run(["optim.lr=1e-3"]) == ["optim.lr=1e-3"]

    def test_the_settings_of_the_run_come_back(self, root: Path) -> None:
        path = self.save(root / "runs" / "train" / "one", ["optim.lr=1e-3", "sweep=optim", "trainer.max_epochs=2"])
        assert continue_run(["ckpt_path=last", "trainer.max_epochs=5"]) == [
            "optim.lr=1e-3",
            "trainer.max_epochs=5",
            f"ckpt_path='{path}'",
            f"hydra.run.dir='{path.parents[1]}'",
            "hydra.mode=RUN",
        ]

    def test_a_checkpoint_from_elsewhere_starts_a_new_run(self, root: Path) -> None:
        path = self.save(root / "elsewhere", ["optim.lr=1e-3"])
        assert continue_run([f"ckpt_path={path}", "seed=1"]) == ["seed=1", f"ckpt_path='{path}'"]

    def test_an_old_format_is_refused_before_its_overrides_are_used(self, root: Path) -> None:
        self.save(root / "runs" / "train" / "one", ["callbacks.gone.interval=5"], version=1)
        with pytest.raises(CheckpointError, match=r"format 1.*start a new run"):
            continue_run(["ckpt_path=last"])


class Straight(NamedTuple):
    """An uninterrupted run of `LONG`."""

    folder: Path
    metrics: dict[str, float]
    best_score: float


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Straight:
    root = tmp_path_factory.mktemp("straight")
    torch.set_num_threads(THREADS)  # as in every test: another number of threads rounds differently
    paths = [f"paths.root={root}", f"paths.cache_dir={root / 'cache'}", f"paths.output_dir={root / 'run'}"]
    metrics, objects = train(compose_config("train", [*LONG, *paths]))
    return Straight(root / "run", metrics, float(objects["trainer"].checkpoint_callback.best_model_score))


@pytest.mark.slow
class TestInterruptedRuns:
    @pytest.mark.parametrize(("stage", "workers"), [("heads", 0), ("top", 2), ("whole", 2), ("whole", 0)])
    def test_interrupted_in_any_stage_and_resumed_equals_straight(
        self,
        compose: Compose,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        straight: Straight,
        stage: str,
        workers: int,
    ) -> None:
        epoch = {"heads": 0, "top": 1, "whole": 2}[stage]
        run, cache = tmp_path / "runs" / "resumed", tmp_path / "cache"
        interrupt_at(monkeypatch, epoch, batch=1)
        with pytest.raises(RuntimeError, match="interrupted"):
            train(compose(*LONG, f"data.num_workers={workers}", INTERRUPT, output="resumed"))
        assert epochs_done(read_checkpoint(run / "checkpoints/last.ckpt")) == epoch
        made = {path.name for path in cache.glob("features-*.npy")}
        if workers:  # a cache that was removed is computed again, with the weights that were frozen then
            for name in made:
                (cache / name).unlink()

        metrics, objects = train(compose(*LONG, f"data.num_workers={workers}", "ckpt_path=last", output="resumed"))
        assert {path.name for path in cache.glob("features-*.npy")} <= made
        assert without_time(metrics) == without_time(straight.metrics)
        assert same(weights(run), weights(straight.folder))
        ours, theirs = (read_checkpoint(folder / "checkpoints/last.ckpt") for folder in (run, straight.folder))
        assert ours["lr_schedulers"] == theirs["lr_schedulers"]
        assert [group["lr"] for group in ours["optimizer_states"][0]["param_groups"]] == [
            group["lr"] for group in theirs["optimizer_states"][0]["param_groups"]
        ]
        best = objects["trainer"].checkpoint_callback
        assert best.best_model_path == str(run / "checkpoints/best.ckpt")
        assert best.best_model_score == straight.best_score
        history = next(c.history for c in objects["trainer"].callbacks if hasattr(c, "history"))
        assert [line["epoch"] for line in history] == [1, 2, 3, 4]

    def test_interrupted_before_the_first_epoch_ended(
        self, compose: Compose, monkeypatch: pytest.MonkeyPatch, straight: Straight
    ) -> None:
        interrupt_at(monkeypatch, epoch=0, batch=0)
        with pytest.raises(RuntimeError, match="interrupted"):
            train(compose(*LONG, INTERRUPT, output="resumed"))
        resumed, _ = train(compose(*LONG, "ckpt_path=last", output="resumed"))
        assert without_time(resumed) == without_time(straight.metrics)

    def test_more_epochs_after_the_end(self, compose: Compose) -> None:
        train(compose(*LONG, output="run"))
        more, objects = train(compose(*LONG, "trainer.max_epochs=5", "ckpt_path=last", output="run"))
        assert more["epochs"] == 5
        assert objects["trainer"].global_step == 5 * 4


@pytest.mark.slow
class TestFinishedRuns:
    @pytest.fixture
    def run(self, compose: Compose, tmp_path: Path) -> Path:
        train(compose(*SHORT))
        return tmp_path / "runs" / "run"

    def test_a_moved_run_keeps_its_best_score(self, run: Path, compose: Compose) -> None:
        best = read_checkpoint(run / "checkpoints" / "last.ckpt")["callbacks"]
        score = next(state["best_model_score"] for state in best.values() if "best_model_score" in state)
        run.rename(run.parent / "moved")
        _, objects = train(compose(*SHORT, "trainer.max_epochs=4", "ckpt_path=last", output="moved"))
        kept = objects["trainer"].checkpoint_callback
        assert kept.best_model_score >= score
        assert kept.best_model_path == str(run.parent / "moved" / "checkpoints" / "best.ckpt")

    def test_a_new_run_starts_with_the_best_of_the_one_it_goes_on_from(self, run: Path, compose: Compose) -> None:
        """The resumed run has a best model even if it never improves."""
        worse = (*SHORT, "trainer.max_epochs=4", "optim.schedule=constant")
        before = read_checkpoint(run / "checkpoints" / "last.ckpt")["callbacks"]
        score = next(each["best_model_score"] for each in before.values() if each.get("best_model_score") is not None)
        for output in ("with", "without"):
            if output == "without":
                (run / "checkpoints" / "best.ckpt").unlink()
            last = run / "checkpoints" / "last.ckpt"
            metrics, objects = train(compose(*worse, f"ckpt_path={last}", output=output))
            assert "test/rsum" in metrics
            kept = objects["trainer"].checkpoint_callback
            assert kept.best_model_path == str(run.parent / output / "checkpoints" / "best.ckpt")
            assert Path(kept.best_model_path).is_file()
            assert output == "without" or kept.best_model_score >= score

    def test_resumed_after_its_end_a_run_has_the_same_figures(self, run: Path, compose: Compose) -> None:
        before = json.loads((run / "metrics.json").read_text())
        again, _ = train(compose(*SHORT, "ckpt_path=last"))
        assert {name: again.get(name) for name in before if name != "seconds"} == without_time(before)

    def test_settings_that_do_not_fit_are_refused(self, run: Path, compose: Compose) -> None:
        for override, message in {
            "model.embed_dim=16": "trained with 32",
            "optim.image_encoder_layer_decay=0.8": "trained with 1",
            "data.vocab_size=20": "another vocabulary",
            "trainer.max_epochs=2": "3 complete epochs",
        }.items():
            with pytest.raises(CheckpointError, match=message):
                train(compose(*SHORT, "ckpt_path=last", override))

    def test_the_chosen_checkpoint_becomes_the_last_before_training(
        self, run: Path, compose: Compose, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        best, last = run / "checkpoints" / "best.ckpt", run / "checkpoints" / "last.ckpt"
        best.write_bytes(last.read_bytes())
        more = [*SHORT, "trainer.max_epochs=4"]
        train(compose(*more, "ckpt_path=last"))
        assert epochs_done(read_checkpoint(last)) == 4
        interrupt_at(monkeypatch, epoch=3, batch=0)
        with pytest.raises(RuntimeError, match="interrupted"):
            train(compose(*more, f"ckpt_path={best}", INTERRUPT))
        assert epochs_done(read_checkpoint(last)) == 3

    def test_a_model_without_training_state_is_refused(self, run: Path, compose: Compose) -> None:
        torch.save(strip(read_checkpoint(run / "checkpoints" / "best.ckpt")), run / "slim.ckpt")
        with pytest.raises(CheckpointError, match=r"imtext\.evaluate"):
            train(compose(*QUICK, f"ckpt_path={run / 'slim.ckpt'}"))


@pytest.mark.slow
def test_stopped_early_a_run_stays_so_until_it_gets_more_patience(
    compose: Compose, caplog: pytest.LogCaptureFixture
) -> None:
    lazy = (*QUICK, "optim.lr=1e-9", "optim.schedule=constant", "trainer.max_epochs=6")  # nothing improves
    first, _ = train(compose(*lazy, "callbacks.early_stopping.patience=1"))
    assert first["epochs"] < 6
    assert "nothing has been learnt" in caplog.text
    again, _ = train(compose(*lazy, "callbacks.early_stopping.patience=1", "ckpt_path=last"))
    assert without_time(again) == without_time(first)
    more, _ = train(compose(*lazy, "callbacks.early_stopping.patience=9", "ckpt_path=last"))
    assert more["epochs"] == 6
