"""Several workers, and a command that goes on, whoever is killed."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from imtext.training.sweep.study.processes import PARENT, devices_of, is_orphan, is_worker
from imtext.training.sweep.study.queue import KILLED, REPEATS, ended, error_of
from tests.conftest import TINY_SHAPES

N_TRIALS = 16
TINY = [each for each in TINY_SHAPES if not each.startswith("model.embed_dim")]
SPACE = "sweep.space={optim.lr: {low: 1e-4, high: 1e-1, log: true}, model.embed_dim: [8, 16, 32]}"
STUDY = ["sweep=optuna", SPACE, f"sweep.n_trials={N_TRIALS}", *TINY, "stages=frozen", "trainer.max_epochs=2"]


def test_this_process_is_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_worker()
    assert not is_orphan()
    monkeypatch.setenv(PARENT, str(os.getpid()))
    assert is_worker()
    assert not is_orphan()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setenv(PARENT, str(gone.pid))
    assert is_orphan()


def test_each_worker_has_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert devices_of(3) == ["4", "7", "4"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    assert devices_of(2) == [None, None]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices_of(1) == [None]


def command(folder: Path, workers: int) -> list[str]:
    paths = [f"paths.root={folder}", f"paths.cache_dir={folder}/cache"]
    return [sys.executable, "-m", "imtext.sweep", *STUDY, *paths, f"sweep.workers={workers}"]


def study_in(folder: Path) -> optuna.Study:
    file = folder / "runs" / "studies" / "imtext" / "study.db"
    return optuna.load_study(study_name="imtext", storage=f"sqlite:///{file}")


def started(program: subprocess.Popen[str]) -> list[int]:
    """The numbers of the workers' processes, once the program has said them."""
    assert program.stdout is not None
    for line in program.stdout:
        if found := re.search(r"workers: processes (.*)", line):
            return [int(number) for number in found[1].split(", ")]
    raise AssertionError("no workers")


def kill_two(folder: Path, program: subprocess.Popen[str]) -> list[int]:
    """Kill two of the workers, each after some trials and some moments; returns how many had ended then."""
    moments, workers, study = [], started(program), study_in(folder)
    for number, worker in zip(sorted(random.sample(range(1, 12), 2)), random.sample(workers, 2), strict=True):
        while len(ended(study.trials)) < number:
            time.sleep(0.3)
        time.sleep(random.uniform(0, 0.7))
        os.kill(worker, signal.SIGKILL)
        moments.append(len(ended(study.trials)))
    return moments


def check(folder: Path, database: str) -> None:
    """Every trial has ended once; the report and MLflow show each once."""
    attempts = study_in(folder).trials
    done = ended(attempts)
    assert len(done) == N_TRIALS
    failed = [each for each in done if each.state is TrialState.FAIL]
    assert all(error_of(each) == KILLED for each in failed)  # both kills may hit the same trial
    repeated = Counter(each.user_attrs[REPEATS] for each in attempts if REPEATS in each.user_attrs)
    assert repeated == Counter({each.number for each in attempts} - {each.number for each in done})
    for each in attempts:
        if REPEATS in each.user_attrs:
            assert each.params == {**each.params, **attempts[each.user_attrs[REPEATS]].params}
    runs = MlflowClient(database).search_runs(["1"])
    (parent,) = [run for run in runs if "trial" not in run.data.tags]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert Counter(run.data.tags["trial"] for run in children) == Counter(str(each.number) for each in done)
    assert Counter(run.info.status for run in runs) == Counter(FINISHED=17 - len(failed), FAILED=len(failed))
    report = (folder / "runs" / "studies" / "imtext" / "report.html").read_text()
    assert report.count("<tr>") == N_TRIALS + 1
    assert report.count("data:image/png;base64,") == 4


@pytest.mark.slow
def test_killed_workers(tmp_path: Path, database: str) -> None:
    """The acceptance test: 16 trials, four workers, two of them killed at random moments."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command(tmp_path, 4), env=environment, stdout=subprocess.PIPE, text=True) as program:
        moments = kill_two(tmp_path, program)
        assert program.stdout is not None
        printed = program.stdout.read()
    assert program.returncode == 0, printed
    assert printed.count("was killed: SIGKILL") == 2, moments
    assert "Best: python -m imtext.train data=shapes" in printed
    check(tmp_path, database)


@pytest.mark.slow
def test_everything_is_killed(tmp_path: Path, database: str) -> None:
    """The command is killed: its workers end after their trials. One of them is killed, too; the command goes on."""
    with subprocess.Popen(command(tmp_path, 2), stdout=subprocess.PIPE, text=True) as program:
        workers, study = started(program), study_in(tmp_path)
        while len(ended(study.trials)) < 3:
            time.sleep(0.3)
        os.kill(workers[0], signal.SIGKILL)
        program.kill()
    again = subprocess.run(command(tmp_path, 1), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    check(tmp_path, database)
