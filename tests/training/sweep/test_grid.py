"""The table at the end of a multirun."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from imtext.training.sweep.grid import print_trials, read_trials


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Three trials: the second is better than the first, the third has failed."""
    for number, (lr, rsum) in enumerate((("1e-4", 1.2), ("3e-4", 2.5), ("1e9", None))):
        folder = tmp_path / str(number)
        (folder / ".hydra").mkdir(parents=True)
        OmegaConf.save(
            ["data=shapes", "run_name='a b'", "sweep=optim", f"optim.lr={lr}"], folder / ".hydra" / "overrides.yaml"
        )
        if rsum is not None:
            metrics = {"val/rsum": rsum, "val/t2i_r@10": rsum / 5, "val/i2t_r@10": rsum / 4, "seconds": 2}
            (folder / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_the_best_comes_first(sweep: Path) -> None:
    trials = read_trials(sweep)
    assert [trial.number for trial in trials] == [1, 0, 2]
    assert trials[0].overrides == ("data=shapes", "run_name='a b'", "optim.lr=3e-4")
    assert trials[2].metrics == {}
    assert [trial.number for trial in read_trials(sweep, "seconds")] == [0, 1, 2]
    assert read_trials(sweep / "none") == []


def test_the_best_is_a_command(
    sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    print_trials(read_trials(sweep))
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines() if "optim.lr" in line]
    assert lines[0] == ["1", "optim.lr=3e-4", "50.0", "62.5", "250.0"]
    assert lines[2][:3] == ["2", "optim.lr=1e9", "(failed)"]
    assert """Best: python -m imtext.train data=shapes 'run_name='"'"'a b'"'"'' optim.lr=3e-4""" in printed


def test_without_a_result_there_is_no_best(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_trials([trial for trial in read_trials(sweep) if not trial.metrics])
    assert "Best" not in capsys.readouterr().out
    print_trials([])
