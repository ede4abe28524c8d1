"""Locks of living processes."""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from imtext.errors import ConfigError, StoreError
from imtext.training.sweep.study.locks import MLFLOW, Locks, locks_of

POSTGRES = os.environ.get("IMTEXT_POSTGRES")  # optional: URL of an empty database


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/study.db"
    if POSTGRES is None:
        pytest.skip("IMTEXT_POSTGRES names no database")
    return POSTGRES


def hold(storage: str, folder: Path, ready: Event) -> None:
    locks = locks_of(storage, folder, "held")
    with locks.alone():
        locks.hold(7)
    ready.set()
    time.sleep(300)  # until it is killed


def is_held(locks: Locks, number: int) -> bool:
    with locks.alone():
        return locks.is_held(number)


def test_a_lock_ends_with_its_process(storage: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    other = context.Process(target=hold, args=(storage, tmp_path, ready))
    other.start()
    locks = locks_of(storage, tmp_path, "held")
    assert ready.wait(120)
    assert is_held(locks, 7)
    assert is_held(locks, 7)  # looking changes nothing
    assert not is_held(locks, 8)
    assert not is_held(locks_of(storage, tmp_path / "other", "another"), 8)
    other.kill()
    other.join()
    assert not is_held(locks, 7)
    with locks.alone():
        locks.hold(7)
        assert locks.is_held(7)
        locks.release(7)
        assert not locks.is_held(7)
    assert not list(tmp_path.rglob("*trial-*.lock"))


def test_studies_do_not_share_the_locks_of_their_trials(tmp_path: Path) -> None:
    places = [("study.db", "one"), ("study.db", "two"), ("other.db", "one")]
    first, *others = (locks_of(f"sqlite:///{tmp_path}/{file}", tmp_path, name) for file, name in places)
    with first.alone():
        first.hold(0)
    for other in others:
        assert not is_held(other, 0)
        with other.alone():
            other.hold(0)
            other.release(0)
    with first.alone():
        assert first.is_held(0)
        first.release(0)


def test_recording_leaves_the_study_to_others(storage: str, tmp_path: Path) -> None:
    with locks_of(storage, tmp_path, "held").alone(MLFLOW), locks_of(storage, tmp_path, "held").alone():
        pass


def test_other_databases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sqlite:///<file>, or postgresql\+psycopg"):
        locks_of("mysql://anna:secret@db/optuna", tmp_path, "x")


def test_a_database_that_cannot_be_reached(tmp_path: Path) -> None:
    with pytest.raises((ConfigError, StoreError), match=r"psycopg\[binary\]|sweep\.storage: ") as caught:
        locks_of("postgresql+psycopg://anna:secret@127.0.0.1:1/optuna", tmp_path, "x")
    assert "secret" not in str(caught.value)
