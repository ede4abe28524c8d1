"""The report of a study."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.trial import TrialState

from imtext.training.sweep.study.queue import CHOSEN, ERROR, METRICS
from imtext.training.sweep.study.report import ranking_of, report
from tests.training.sweep.study.studies import open_queue, suggest


def test_a_page_with_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, queue = open_queue(f"sqlite:///{tmp_path}/study.db", tmp_path, 8)
    report(study, [], tmp_path, "val/rsum")
    assert "No trial of the study drawn has ended yet" in capsys.readouterr().out
    study.set_user_attr("settings", {"overrides": ["data=shapes"]})
    while taken := queue.take(lambda attempt: (suggest(attempt), attempt.suggest_categorical("b", ["lsa", "random"]))):
        attempt, (x, b) = taken
        notes = {CHOSEN: [f"optim.lr={x:.4g}", f"model.text_encoder.word_init={b}"]}
        if attempt.number == 7:
            queue.end(attempt, TrialState.FAIL, None, **notes, **{ERROR: "out of <memory>\nmore"})
        else:
            queue.end(attempt, TrialState.COMPLETE, x, **notes, **{METRICS: {"val/rsum": x}})
    report(study, ["data.path=here", "data=shapes"], tmp_path, "val/rsum")
    printed = capsys.readouterr().out
    best = ranking_of(study, ["data.path=here"], "val/rsum")[0]
    assert best.metrics["val/rsum"] == study.best_value
    assert best.overrides[:2] == ("data=shapes", "data.path=here")
    assert f"Best: python -m imtext.train data=shapes data.path=here optim.lr={study.best_value:.4g}" in printed
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert "fANOVA" in page
    assert "failed: out of &lt;memory&gt;" in page
    assert "http" not in page
    assert not list(tmp_path.glob("report.*.html"))


def test_without_pictures(tmp_path: Path) -> None:
    study, queue = open_queue(f"sqlite:///{tmp_path}/study.db", tmp_path, 1)
    taken = queue.take(suggest)
    assert taken is not None
    queue.end(taken[0], TrialState.COMPLETE, 1.0, **{METRICS: {"val/rsum": 1.0}})
    report(study, [], tmp_path, "val/rsum")
    page = (tmp_path / "report.html").read_text()
    assert "<table>" in page
    assert "<img" not in page
