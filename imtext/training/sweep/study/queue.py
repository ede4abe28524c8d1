"""Which trial is next: every trial of a study ends once, whoever is killed.

Optuna numbers all attempts. An attempt whose worker has died, or that was put back, is marked as failed, and one other
attempt follows with the same settings; a trial is the chain of its attempts. All decisions are made under one lock and
follow from what the database holds, so a worker may be killed between any two of these lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from optuna import Study, Trial
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from imtext.training.sweep.study.locks import MLFLOW, Locks

MAX_DEATHS = 2  # a trial that has killed its worker twice, perhaps with too much memory, has failed
MAX_REFUSALS = 2  # so has one whose data could not be read twice: its own settings may be why
POLL = 1.0  # seconds between two looks at the trials of other workers
# Attributes of attempts.
CHOSEN, METRICS, ERROR, PUT_BACK = "chosen", "metrics", "error", "put_back"
REPEATS, DEATHS = "repeats", "deaths"
REFUSALS = "refusals"  # how often the data of a trial could not be read, up to this attempt
KILLED = f"its worker was killed {MAX_DEATHS} times"

T = TypeVar("T")


class Queue:
    """Hands out the trials of a study.

    Args:
        study: the study.
        locks: its locks.
        n_trials: how many trials it is to have.
        sampler: makes the sampler of an attempt from its number.
    """

    def __init__(self, study: Study, locks: Locks, n_trials: int, sampler: Callable[[int], BaseSampler]) -> None:
        self._study, self._locks, self._n_trials, self._sampler = study, locks, n_trials, sampler

    def recording(self) -> AbstractContextManager[None]:
        """Only one worker of the study at a time is inside of this block, and the others train meanwhile."""
        return self._locks.alone(MLFLOW)

    def take(self, suggest: Callable[[Trial], T]) -> tuple[Trial, T] | None:
        """Start the next attempt. If only others have trials left, wait: one of them may die.

        Args:
            suggest: chooses the settings.

        Returns:
            The attempt and its settings; None once all trials have ended.
        """
        while True:
            with self._locks.alone():
                attempts = self._settle()
                waiting = any(each.state is TrialState.WAITING for each in attempts)
                if waiting or sum(REPEATS not in each.user_attrs for each in attempts) < self._n_trials:
                    return self._start(len(attempts), suggest)
                if not any(each.state is TrialState.RUNNING for each in attempts):
                    return None
            time.sleep(POLL)

    def end(self, attempt: Trial, state: TrialState, value: float | None = None, **notes: Any) -> bool:
        """Store the result of an attempt, with attributes.

        Returns:
            False if others took this worker for dead; then another attempt follows, and this one does not count.
        """
        with self._locks.alone():
            try:
                if self._study.get_trials(deepcopy=False)[attempt.number].state is not TrialState.RUNNING:
                    return False
                for key, note in notes.items():
                    attempt.set_user_attr(key, note)
                self._study.tell(attempt, value, None if state is TrialState.COMPLETE else state)
            finally:
                self._locks.release(attempt.number)
        return True

    def _start(self, number: int, suggest: Callable[[Trial], T]) -> tuple[Trial, T]:
        self._study.sampler = self._sampler(number)
        attempt = self._study.ask()  # a waiting one first
        self._locks.hold(attempt.number)
        return attempt, suggest(attempt)

    def _settle(self) -> list[FrozenTrial]:
        """Mark the attempts of dead workers as failed, and add the attempts that are missing."""
        for each in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if not self._locks.is_held(each.number):
                self._study.tell(each.number, state=TrialState.FAIL)
        attempts = self._study.get_trials(deepcopy=False)
        for each in to_repeat(attempts):
            chosen = {**each.system_attrs.get("fixed_params", {}), **each.params}  # it may have died while choosing
            counts = {DEATHS: deaths(each), REFUSALS: each.user_attrs.get(REFUSALS, 0)}
            self._study.enqueue_trial(chosen, user_attrs={REPEATS: each.number, **counts})
        return self._study.get_trials(deepcopy=False)


def deaths(attempt: FrozenTrial) -> int:
    """How often the worker of a trial has died, up to this failed attempt."""
    before: int = attempt.user_attrs.get(DEATHS, 0)
    return before + (PUT_BACK not in attempt.user_attrs)


def to_repeat(attempts: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Attempts that have not ended their trial, and that no other attempt follows yet."""
    repeated = {each.user_attrs.get(REPEATS) for each in attempts}
    return [each for each in attempts if each.number not in repeated and _is_lost(each)]


def ended(attempts: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The last attempt of each trial that has ended: complete, pruned, or failed by itself."""
    return [each for each in attempts if each.state.is_finished() and not _is_lost(each)]


def error_of(attempt: FrozenTrial) -> str:
    """Why an ended trial has failed; empty if it has not."""
    if attempt.state is not TrialState.FAIL:
        return ""
    return str(attempt.user_attrs.get(ERROR, KILLED))


def chosen_by(attempt: FrozenTrial) -> list[str]:
    """The overrides of an attempt, from the search space."""
    return list(attempt.user_attrs.get(CHOSEN, []))


def metrics_of(attempt: FrozenTrial) -> Mapping[str, float]:
    """What an ended trial measured; empty if it failed."""
    metrics: Mapping[str, float] = attempt.user_attrs.get(METRICS, {})
    return metrics if attempt.state is not TrialState.FAIL else {}


def _is_lost(attempt: FrozenTrial) -> bool:
    return attempt.state is TrialState.FAIL and ERROR not in attempt.user_attrs and deaths(attempt) < MAX_DEATHS
