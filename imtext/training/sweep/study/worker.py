"""A worker of a study: takes a trial, trains it, stores its result, until none is left."""

from __future__ import annotations

import gc
import logging
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import torch
from omegaconf import DictConfig
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState

from imtext.config.compose import compose_config
from imtext.config.schema import check_config
from imtext.config.space import Parameter
from imtext.config.trials import last_of_each
from imtext.errors import ConfigError, DataError, DivergedError, MissingExtraError, StoreError
from imtext.training.sweep.bench import Bench
from imtext.training.sweep.ranking import shown
from imtext.training.sweep.study.processes import is_orphan, is_worker
from imtext.training.sweep.study.queue import (
    CHOSEN,
    ERROR,
    MAX_REFUSALS,
    METRICS,
    PUT_BACK,
    REFUSALS,
    Queue,
    chosen_by,
    ended,
    error_of,
)
from imtext.training.sweep.study.tracking import track

log = logging.getLogger(__name__)
# What is wrong with this machine, not with the settings of the trial: other workers may go on.
OF_THE_MACHINE = (MissingExtraError, StoreError, StorageInternalError, KeyboardInterrupt)
LONGEST = 500  # characters of a message


class Worker:
    """Trains trials one after the other; see `Bench` for what they share.

    Args:
        study: the study.
        queue: hands out its trials.
        config: of the command; its folders, device and logger hold for all trials.
        overrides: those that all trials share.
        parameters: what a trial chooses.
        metric: what is optimised.
        n_trials: trials of the study.
    """

    def __init__(
        self,
        study: optuna.Study,
        queue: Queue,
        config: DictConfig,
        overrides: Sequence[str],
        parameters: Sequence[Parameter],
        metric: str,
        n_trials: int,
    ) -> None:
        self._study, self._queue, self._config = study, queue, config
        self._overrides, self._parameters, self._metric, self._n_trials = overrides, parameters, metric, n_trials
        self._bench = Bench()

    def work(self) -> None:
        """Train until all trials of the study have ended.

        Raises:
            DataError: the data cannot be read here; the trial is put back, as with the next ones. If that has happened
                to it before, it has failed.
            StoreError: the disk or the database cannot be written.
            MissingExtraError: a package is missing.
            KeyboardInterrupt: stopped by Ctrl-C.
        """
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the next trial records what is missing
        self._track()
        while not is_orphan() and (taken := self._queue.take(self._suggest)):
            attempt, chosen = taken
            self._train(attempt, chosen)
            self._track()

    def _suggest(self, attempt: optuna.Trial) -> list[str]:
        chosen = [each.suggest(attempt) for each in self._parameters]
        attempt.set_user_attr(CHOSEN, chosen)
        return chosen

    def config_of(self, chosen: Sequence[str]) -> DictConfig:
        """The configuration of a trial.

        Raises:
            ConfigError: the chosen values do not fit together.
        """
        config = compose_config("train", last_of_each([*self._overrides, *chosen]))
        check_config(config)
        config.paths = self._config.paths  # Hydra knows the folder of this run only
        if is_worker() and config.get("callbacks"):
            config.callbacks.progress = None  # the bars of several workers would overwrite each other
        return config

    def _train(self, attempt: optuna.Trial, chosen: Sequence[str]) -> None:
        """Train one attempt and store how it ended."""
        measured: dict[str, float] = {}

        def compare(epoch: int, metrics: Mapping[str, float]) -> None:
            measured.update(metrics)
            if self._metric in metrics:
                attempt.report(metrics[self._metric], epoch)
                if attempt.should_prune():
                    raise optuna.TrialPruned

        state, value = TrialState.FAIL, None
        notes: dict[str, Any] = {}
        try:
            measured |= self._bench.run(self.config_of(chosen), compare)
            value = measured[self._metric]
            if not math.isfinite(value):
                raise DivergedError(f"{self._metric} is {value}")
            state, notes = TrialState.COMPLETE, {METRICS: measured}
        except optuna.TrialPruned:
            state, notes = TrialState.PRUNED, {METRICS: measured}
        except DataError as error:
            refusals = attempt.user_attrs.get(REFUSALS, 0) + 1
            if refusals < MAX_REFUSALS:
                notes = {PUT_BACK: True, REFUSALS: refusals}
                raise
            value, notes = None, {ERROR: str(error)[:LONGEST]}
        except OF_THE_MACHINE:
            notes = {PUT_BACK: True}
            raise
        except Exception as error:
            value, notes = None, {ERROR: (str(error) or type(error).__name__)[:LONGEST]}
            log.debug("Trial failed", exc_info=True)
        finally:
            counts = self._queue.end(attempt, state, value, **notes)
        self._say(attempt, chosen, counts)
        if torch.cuda.is_available():  # what an attempt without enough memory has left
            gc.collect()
            torch.cuda.empty_cache()

    def _say(self, attempt: optuna.Trial, chosen: Sequence[str], counts: bool) -> None:
        """One line for an attempt."""
        trials = self._study.get_trials(deepcopy=False)
        own = trials[attempt.number]
        if not counts:
            result = "does not count: this worker was taken for dead, and another one repeats it"
        elif own.state is TrialState.FAIL:
            result = f"failed: {error_of(own).splitlines()[0]}"
        else:
            pruned = f", pruned after {len(own.intermediate_values)} epochs" if own.state is TrialState.PRUNED else ""
            result = f"{self._metric} {shown(self._metric, own.value)}{pruned}"
        log.info(
            "%d/%d  trial %d: %s: %s", len(ended(trials)), self._n_trials, attempt.number, " ".join(chosen), result
        )

    def _track(self) -> None:
        """Record in MLflow what has ended since; what fails now is recorded after the next trial."""
        try:
            with self._queue.recording():
                track(self._study, self._config, self._config_again, self._metric, self._n_trials)
        except StorageInternalError:
            raise
        except Exception as error:  # noqa: BLE001  of MLflow, its server and its database
            log.warning("Not yet in MLflow: %s", (str(error) or type(error).__name__).splitlines()[0])

    def _config_again(self, trial: FrozenTrial) -> DictConfig:
        try:
            return self.config_of(chosen_by(trial))
        except ConfigError:  # why the trial has failed
            return self.config_of([])
