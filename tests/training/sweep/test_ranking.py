"""The table at the end of a sweep."""

from __future__ import annotations

import pytest

from imtext.training.sweep.ranking import RankedTrial, best_command, cells_of, print_trials, ranked

SHARED = ("data=shapes", "run_name='a b'")
TRIALS = [
    RankedTrial(0, (*SHARED, "optim.lr=1e-4"), {"val/rsum": 1.2, "val/t2i_r@10": 0.24, "val/i2t_r@10": 0.3}),
    RankedTrial(1, (*SHARED, "optim.lr=3e-4"), {"val/rsum": 2.5, "val/t2i_r@10": 0.5, "val/i2t_r@10": 0.625}),
    RankedTrial(2, (*SHARED, "optim.lr=1e9"), {}, "failed: the loss is nan"),
    RankedTrial(3, (*SHARED, "optim.lr=1"), {"val/rsum": 3.0}, "pruned after 2 epochs"),
]


def test_the_best_comes_first() -> None:
    assert [trial.number for trial in ranked(TRIALS)] == [1, 0, 3, 2]
    assert [trial.number for trial in ranked(TRIALS, maximize=False)] == [0, 1, 3, 2]


def test_the_best_is_a_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    print_trials(ranked(TRIALS))
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines() if "optim.lr" in line]
    assert lines[0] == ["1", "optim.lr=3e-4", "50.0", "62.5", "250.0"]
    assert lines[3][:3] == ["2", "optim.lr=1e9", "(failed:"]
    assert """Best: python -m imtext.train data=shapes 'run_name='"'"'a b'"'"'' optim.lr=3e-4""" in printed


def test_another_metric_has_a_column() -> None:
    trials = [RankedTrial(0, ("a=1",), {"train/loss": 1.23456}), RankedTrial(1, ("a=2",), {"train/loss": None})]
    head, first, second = cells_of(trials, "train/loss")
    assert head[-1] == "train/loss"
    assert (first[-1], second[-1]) == ("1.235", "–")


def test_without_a_result_there_is_no_best(capsys: pytest.CaptureFixture[str]) -> None:
    assert best_command([TRIALS[2]]) is None
    print_trials([TRIALS[2]])
    assert "Best" not in capsys.readouterr().out
    print_trials([])
