"""The command line in real processes: killed, interrupted and swept runs, and one run that must reach a good result."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.conftest import FLICKR8K, TINY_SHAPES, WEIGHTS
from tests.runs import weights
from tests.torture.amounts import amount

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # several trainings after each other, also on a busy machine

KILLS = amount(2, 20)
SHORT = [*TINY_SHAPES, "trainer.max_epochs=5", "data.num_images=100", "callbacks.examples=null", "seed=3"]


def command(root: Path, overrides: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    environment = os.environ | {"IMTEXT_ROOT": str(root), "IMTEXT_CACHE": str(root.parent / "cache"), "COLUMNS": "200"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return [sys.executable, "-m", "imtext.train", *overrides], environment


def run(root: Path, *overrides: str) -> str:
    """Run to the end; returns the output."""
    arguments, environment = command(root, overrides)
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stop_in_epoch(root: Path, how: signal.Signals, epoch: int) -> int:
    """Start a run, send a signal after the line of `epoch`; returns the exit status."""
    arguments, environment = command(root, SHORT)
    process = subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # scripts ignore it with &
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if f"epoch {epoch}/5" in line:
            break
    time.sleep(0.3)
    process.send_signal(how)
    process.communicate(timeout=120)
    return process.returncode


def metrics_of(printed: str) -> dict[str, float]:
    """The metrics in the file that the last line names."""
    last = printed.strip().splitlines()[-1]
    assert last.startswith("Metrics: ")
    metrics: dict[str, float] = json.loads(Path(last.removeprefix("Metrics: ")).read_text())
    metrics.pop("seconds")
    return metrics


def runs(root: Path) -> list[Run]:
    client = MlflowClient(f"sqlite:///{root / 'runs' / 'mlflow.db'}")
    return list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The metrics of an uninterrupted run."""
    return metrics_of(run(tmp_path_factory.mktemp("straight"), *SHORT))


def test_killed_and_resumed(tmp_path: Path, straight: dict[str, float]) -> None:
    assert stop_in_epoch(tmp_path, signal.SIGKILL, epoch=2) == -signal.SIGKILL
    (before,) = runs(tmp_path)
    metrics = metrics_of(run(tmp_path, "ckpt_path=last"))  # the settings of the run come back
    (after,) = runs(tmp_path)
    assert metrics == straight
    assert after.info.run_id == before.info.run_id
    assert after.info.status == "FINISHED"
    assert len(list((tmp_path / "runs" / "train").iterdir())) == 1  # the same folder


def test_killed_at_random_moments(tmp_path: Path, straight: dict[str, float]) -> None:
    """Whenever a run is killed, it ends as one that was not."""
    chance = random.Random(0)
    for _ in range(KILLS):
        started = any(tmp_path.glob("runs/train/*/checkpoints/last.ckpt"))
        arguments, environment = command(tmp_path, ["ckpt_path=last"] if started else SHORT)
        with subprocess.Popen(
            arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            assert any("Tokenizer" in line for line in process.stdout), "it did not begin to train"
            time.sleep(chance.uniform(0, 4))
            process.kill()
        if process.returncode == 0:  # it had ended
            break
    started = any(tmp_path.glob("runs/train/*/checkpoints/last.ckpt"))
    metrics = metrics_of(run(tmp_path, *(["ckpt_path=last"] if started else SHORT)))
    expected = {name: value for name, value in straight.items() if not name.startswith("lr-")}  # if nothing was left
    assert {name: metrics[name] for name in expected} == expected


def test_two_processes_train_like_one_with_the_whole_batch(tmp_path: Path) -> None:
    """In one folder and one MLflow run; one process can go on where two have stopped, and two where one has."""
    settings = [
        *(each for each in SHORT if not each.startswith(("data.batch_size", "trainer", "callbacks.examples"))),
        "trainer.max_epochs=2",
        "stages=whole", "model.dropout=0", "model.text_encoder.dropout=0", "model.image_encoder.train_batch_norm=false",
    ]  # fmt: skip
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=8"]
    expected = metrics_of(run(tmp_path / "one", *settings, "trainer=cpu", "data.batch_size=16"))
    found = metrics_of(run(tmp_path / "two", *settings, *two))
    learnt = {name: value for name, value in expected.items() if name.startswith("train/")}
    assert {name: found[name] for name in learnt} == pytest.approx(learnt, abs=1e-4)
    # Ranks of a model that has learnt little change with the last digits, but not the numbers of what is ranked.
    measured = {name: value for name, value in expected.items() if name.endswith(("num_images", "num_captions"))}
    assert {name: found[name] for name in measured} == measured
    assert found.keys() == expected.keys()
    (tracked,) = runs(tmp_path / "two")
    assert tracked.info.status == "FINISHED"
    (folder,) = (tmp_path / "two" / "runs" / "train").iterdir()
    (alone,) = (tmp_path / "one" / "runs" / "train").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in alone.iterdir())
    for name, value in weights(alone).items():
        torch.testing.assert_close(weights(folder)[name], value, rtol=1e-3, atol=1e-4)
    alone_again = ["trainer=cpu", "trainer.devices=1", "data.batch_size=16", "trainer.max_epochs=3"]
    longer = metrics_of(run(tmp_path / "two", "ckpt_path=last", *alone_again))
    assert longer["epochs"] == 3
    shared = metrics_of(run(tmp_path / "one", "ckpt_path=last", *two, "trainer.max_epochs=3"))
    learnt = {name: value for name, value in longer.items() if name.startswith("train/")}
    assert {name: shared[name] for name in learnt} == pytest.approx(learnt, abs=1e-3)


def test_a_refused_resume_leaves_no_trace(tmp_path: Path) -> None:
    run(tmp_path, *SHORT, "trainer.max_epochs=1", "bundle=false")
    for refused in ("optim.lr=1e-2", "data.vocab_size=20", "trainer.precision=what"):
        arguments, environment = command(tmp_path, ["ckpt_path=last", "trainer.max_epochs=2", refused])
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=800)
        assert done.returncode == 1
        assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert metrics_of(run(tmp_path, "ckpt_path=last", "trainer.max_epochs=2"))["epochs"] == 2


def test_ctrl_c(tmp_path: Path, straight: dict[str, float]) -> None:
    assert stop_in_epoch(tmp_path, signal.SIGINT, epoch=1) == 130
    (stopped,) = runs(tmp_path)
    assert stopped.info.status == "KILLED"
    assert metrics_of(run(tmp_path, "ckpt_path=last")) == straight
    (after,) = runs(tmp_path)
    assert after.info.run_id == stopped.info.run_id


def test_sweep(tmp_path: Path) -> None:
    quick = [*TINY_SHAPES, "trainer.max_epochs=1", "callbacks.examples=null", "baseline=false"]
    printed = run(tmp_path, *quick, "-m", "optim.lr=1e-4,3e-4", "model.embed_dim=16,32")
    assert "Best: python -m imtext.train data=shapes" in printed
    trials = runs(tmp_path)
    assert len(trials) == 4
    assert len({trial.info.experiment_id for trial in trials}) == 1
    (sweep,) = {trial.data.tags["sweep"] for trial in trials}
    assert (tmp_path / "runs" / "sweeps" / sweep).is_dir()
    assert {(trial.data.params["optim.lr"], trial.data.params["model.embed_dim"]) for trial in trials} == {
        (lr, size) for lr in ("0.0001", "0.0003") for size in ("16", "32")
    }
    assert len({trial.info.run_name for trial in trials}) == 4
    assert all(trial.info.status == "FINISHED" and "3_test/rsum" in trial.data.metrics for trial in trials)
    assert len(list(tmp_path.rglob("*.db"))) == 1


def test_a_failed_trial_does_not_stop_the_sweep(tmp_path: Path) -> None:
    quick = [*TINY_SHAPES, "trainer.max_epochs=1", "callbacks=default", "callbacks.examples=null", "baseline=false"]
    arguments, environment = command(tmp_path, [*quick, "-m", "optim.lr=-1,1e-3"])
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=800)
    assert done.returncode == 1
    assert "1 trials failed: " in done.stderr
    assert "optim.lr must be above zero" in done.stdout
    assert [trial.info.status for trial in runs(tmp_path)] == ["FINISHED"]


def test_quickstart_learns(tmp_path: Path) -> None:
    """The experiment of the README with half its epochs; its bundle finds the drawings."""
    metrics = metrics_of(run(tmp_path, "experiment=quickstart", "trainer.max_epochs=5"))
    assert metrics["test/t2i_r@10"] > 0.75
    assert metrics["test/i2t_r@10"] > 0.75
    environment = {**os.environ, "IMTEXT_ROOT": str(tmp_path)}
    demo = [sys.executable, "-m", "imtext", "demo", str(tmp_path / "demo")]
    printed = subprocess.run(demo, capture_output=True, text=True, env=environment, check=True).stdout
    assert "200 drawn pictures indexed" in printed
    assert any(name in printed for name in ("0001.png", "0002.png", "0003.png"))  # drawings that match the query


@pytest.mark.skipif(not (FLICKR8K and WEIGHTS), reason="IMTEXT_FLICKR8K and IMTEXT_WEIGHTS name no photos and weights")
def test_photos(tmp_path: Path) -> None:
    """Forty batches of photos are enough to be well above chance, which is R@10 = 1 %."""
    printed = run(
        tmp_path, f"data.path={FLICKR8K}", "data.split=official", f"model.image_encoder.weights={WEIGHTS}",
        "trainer.max_epochs=1", "trainer.limit_train_batches=40", "baseline=false",
    )  # fmt: skip
    assert metrics_of(printed)["val/t2i_r@10"] > 0.03
