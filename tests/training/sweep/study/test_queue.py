"""No trial is lost, none is doubled."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from imtext.training.sweep.study.queue import (
    DEATHS,
    ERROR,
    KILLED,
    METRICS,
    PUT_BACK,
    REPEATS,
    ended,
    error_of,
    metrics_of,
    to_repeat,
)
from tests.training.sweep.study.studies import open_queue, suggest, work

N_TRIALS = 40


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


def is_complete(study: optuna.Study, n_trials: int) -> None:
    """All trials have ended once, and each attempt of a dead worker was repeated once, with its settings."""
    attempts = study.get_trials()
    assert len(ended(attempts)) == n_trials
    assert len([each for each in attempts if REPEATS not in each.user_attrs]) == n_trials
    repeated = Counter(each.user_attrs[REPEATS] for each in attempts if REPEATS in each.user_attrs)
    assert set(repeated.values()) <= {1}
    lost = {each.number for each in attempts} - {each.number for each in ended(attempts)}
    assert repeated.keys() == lost
    for each in attempts:
        if REPEATS in each.user_attrs and each.params:
            before = attempts[each.user_attrs[REPEATS]]
            assert each.params == before.params or not before.params


def test_trials_end_in_every_way(url: str, tmp_path: Path) -> None:
    study, queue = open_queue(url, tmp_path, 3)
    for state, value, notes in (
        (TrialState.COMPLETE, 0.5, {METRICS: {"val/rsum": 0.5}}),
        (TrialState.PRUNED, None, {METRICS: {"val/rsum": 0.1}}),
        (TrialState.FAIL, None, {ERROR: "out of memory"}),
    ):
        taken = queue.take(suggest)
        assert taken is not None
        assert queue.end(taken[0], state, value, **notes)
    assert queue.take(suggest) is None
    is_complete(study, 3)
    assert [error_of(each) for each in study.trials] == ["", "", "out of memory"]
    assert [metrics_of(each) for each in study.trials] == [{"val/rsum": 0.5}, {"val/rsum": 0.1}, {}]
    assert not list(tmp_path.rglob("*trial-*.lock"))


def test_more_trials_later(url: str, tmp_path: Path) -> None:
    for n_trials in (1, 3):
        study, queue = open_queue(url, tmp_path, n_trials)
        while taken := queue.take(suggest):
            queue.end(taken[0], TrialState.COMPLETE, taken[1])
        is_complete(study, n_trials)


def test_a_trial_that_was_put_back_is_repeated_as_often_as_it_takes(url: str, tmp_path: Path) -> None:
    study, queue = open_queue(url, tmp_path, 1)
    chosen = []
    for _ in range(4):
        taken = queue.take(suggest)
        assert taken is not None
        chosen.append(taken[1])
        queue.end(taken[0], TrialState.FAIL, **{PUT_BACK: True})
    assert len(set(chosen)) == 1
    assert ended(study.trials) == []


def test_a_result_of_a_worker_that_was_taken_for_dead_does_not_count(url: str, tmp_path: Path) -> None:
    study, queue = open_queue(url, tmp_path, 1)
    first = queue.take(suggest)
    assert first is not None
    study.tell(first[0].number, state=TrialState.FAIL)  # as another worker would, whose connection was lost
    second = queue.take(suggest)
    assert second is not None
    assert second[1] == first[1]
    assert not queue.end(first[0], TrialState.COMPLETE, 0.5)
    assert queue.end(second[0], TrialState.COMPLETE, 0.5)
    is_complete(study, 1)


def attempt(number: int, state: TrialState, **attrs: object) -> FrozenTrial:
    value = 1.0 if state is TrialState.COMPLETE else None
    made = optuna.trial.create_trial(state=state, value=value, user_attrs=attrs)
    made.number = number
    return made


def test_a_trial_that_kills_its_worker_twice_has_failed() -> None:
    first = attempt(0, TrialState.FAIL)
    assert to_repeat([first]) == [first]
    assert ended([first]) == []
    second = attempt(1, TrialState.FAIL, **{REPEATS: 0, DEATHS: 1})
    assert to_repeat([first, second]) == []
    assert ended([first, second]) == [second]
    assert error_of(second) == KILLED
    back = attempt(1, TrialState.FAIL, **{REPEATS: 0, DEATHS: 1, PUT_BACK: True})
    assert to_repeat([first, back]) == [back]


@pytest.mark.slow
def test_killed_workers(url: str, tmp_path: Path) -> None:
    """Whenever a few trials have ended, one of four workers is killed, and another one takes its place."""
    kills, next_kill, file = 0, 2, tmp_path / "results.txt"
    file.touch()
    workers = [start(url, tmp_path) for _ in range(4)]
    try:
        while any(worker.is_alive() for worker in workers):
            time.sleep(random.uniform(0.01, 0.05))
            if (done := len(file.read_text().splitlines())) >= next_kill:
                place = random.randrange(4)
                workers[place].kill()
                workers[place].join()
                workers[place] = start(url, tmp_path)
                kills, next_kill = kills + 1, done + random.randint(1, 6)
        assert [worker.exitcode for worker in workers] == [0] * 4
    finally:
        for worker in workers:
            worker.kill()
    study, _ = open_queue(url, tmp_path, N_TRIALS)
    is_complete(study, N_TRIALS)
    results = [line.split() for line in file.read_text().splitlines()]
    complete = {each.number: each.value for each in study.trials if each.state is TrialState.COMPLETE}
    assert len(results) == len({number for number, _ in results})  # a worker may die between its result and its line
    assert {int(number): float(x) for number, x in results}.items() <= complete.items()
    assert kills >= 4


def start(url: str, folder: Path) -> multiprocessing.Process:
    worker = multiprocessing.get_context("fork").Process(target=work, args=(url, folder, N_TRIALS))
    worker.start()
    return worker  # type: ignore[return-value]
