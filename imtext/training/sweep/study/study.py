"""A study: its settings, its database, and what it runs."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import optuna
from omegaconf import DictConfig
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from imtext.config.compose import parse_overrides
from imtext.config.space import Parameter, check_space, read_space
from imtext.config.trials import last_of_each
from imtext.errors import ConfigError, ImtextError, StoreError
from imtext.evaluation.definitions import EQUAL, metric_names
from imtext.training.sweep.study.locks import Locks, locks_of
from imtext.training.sweep.study.processes import is_worker, run_workers
from imtext.training.sweep.study.queue import Queue, ended
from imtext.training.sweep.study.report import report

log = logging.getLogger(__name__)
PATIENCE = 60  # seconds that a worker waits for SQLite while another one writes
# Settings that may differ between the machines of a study: they change where, not what is trained.
PLACES = re.compile(
    r"(paths|logger|hydra)([./].*)?|callbacks\.progress|trainer|trainer\.(accelerator|devices)|data\.(path|num_workers)"
    r"|model\.image_encoder\.weights|tags(\..*)?"
)


class Study:
    """Trials whose settings Optuna chooses. They are kept in a database: the same command goes on.

    Args:
        name: of the study, of its folder, and in MLflow.
        storage: database; `sqlite:///<file>` for one machine, `postgresql+psycopg://…` for several.
        n_trials: trials that the study is to have in the end.
        workers: processes that this command starts, each with one trial at a time; 0 only writes the report.
        metric: what is optimised, as named in `metrics.json`.
        direction: whether more of it is better.
        base: overrides of all trials, before those of the command line.
        space: what each trial chooses: a list, or low, high and perhaps log or step, for each setting.
        sampler: chooses the settings.
        pruner: ends trials early that are worse than others at the same epoch; null: none.
    """

    def __init__(
        self,
        name: str,
        storage: str,
        n_trials: int,
        workers: int,
        metric: str,
        direction: Literal["maximize", "minimize"],
        base: list[str],
        space: dict[str, Any],
        sampler: Callable[..., BaseSampler],
        pruner: BasePruner | None = None,
    ) -> None:
        if not re.fullmatch(r"[\w.-]+", name):
            raise ConfigError(f"sweep.name={name}: letters, digits, dots, dashes and underscores only")
        if n_trials < 1 or workers < 0:
            raise ConfigError("sweep.n_trials must be at least 1 and sweep.workers at least 0")
        known = [*(f"val/{each}" for each in metric_names()), "train/loss", "seconds"]
        if metric.removesuffix(EQUAL) not in known:
            raise ConfigError(f"sweep.metric={metric} is not measured; there are {', '.join(known)}")
        self.name, self.metric, self.direction = name, metric, direction
        self._url, self._n_trials, self._workers, self._base = storage, n_trials, workers, base
        self._space, self._make_sampler, self._pruner = space, sampler, pruner or NopPruner()

    def run(self, config: DictConfig, overrides: Sequence[str]) -> list[optuna.trial.FrozenTrial]:
        """Check everything, train what is missing, and report.

        Args:
            config: composed from `conf/sweep.yaml`.
            overrides: of the command line, without those of the group `sweep`.

        Returns:
            The trials that have ended.

        Raises:
            ConfigError: a setting is wrong, or the study was begun with others.
            ImtextError: trials are missing, because this machine has failed or workers were killed.
        """
        folder = Path(config.paths.runs_dir) / "studies" / self.name
        own = last_of_each([*self._base, *overrides])
        if self._workers:
            parameters = read_space(self._space)
            check_space(parameters, own, overrides)
            study, locks = self._open(folder, {"overrides": own, "space": [str(each) for each in parameters]})
            log.info(
                "Study %s: %s of %d trials have ended; %s", self.name, len(ended(study.trials)), self._n_trials, folder
            )
            if self._workers == 1:
                self._work(study, locks, config, own, parameters)
            else:
                run_workers(self._workers, Path(config.paths.output_dir))
        else:
            study, _ = self._open(folder, None)
        done = ended(study.get_trials())
        if not is_worker():
            report(study, own, folder, self.metric)
        if self._workers and len(done) < self._n_trials:
            raise ImtextError(f"{len(done)} of {self._n_trials} trials have ended. Go on with the same command")
        return done

    def _work(
        self, study: optuna.Study, locks: Locks, config: DictConfig, own: Sequence[str], parameters: list[Parameter]
    ) -> None:
        from imtext.training.sweep.study.worker import Worker

        queue = Queue(study, locks, self._n_trials, lambda number: self._make_sampler(seed=config.seed + number))
        with stored():
            Worker(study, queue, config, own, parameters, self.metric, self._n_trials).work()

    def _open(self, folder: Path, settings: dict[str, list[str]] | None) -> tuple[optuna.Study, Locks]:
        """Create or load the study. Processes that create tables at the same time would fail.

        Args:
            folder: of the study.
            settings: those that all workers share; None loads the study as it is.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        file = Path(self._url.removeprefix("sqlite:///"))
        if settings is None and self._url.startswith("sqlite") and not file.is_file():
            raise ConfigError(f"There is no study {self.name}: {file} does not exist")
        locks = locks_of(self._url, folder, self.name)
        folder.mkdir(parents=True, exist_ok=True)
        wait = {"connect_args": {"timeout": PATIENCE}} if self._url.startswith("sqlite") else {"pool_pre_ping": True}
        with locks.alone(), stored():
            storage = RDBStorage(self._url, wait)
            if settings is None:
                try:
                    return optuna.load_study(study_name=self.name, storage=storage), locks
                except KeyError:
                    raise ConfigError(f"There is no study {self.name} in sweep.storage") from None
            study = optuna.create_study(
                study_name=self.name, storage=storage, direction=self.direction, pruner=self._pruner,
                load_if_exists=True,
            )  # fmt: skip
            self._check_same(study, settings)
        return study, locks

    def _check_same(self, study: optuna.Study, settings: dict[str, list[str]]) -> None:
        """Refuse to mix trials of different settings in one study."""
        placed = {
            str(each.input_line)
            for each in parse_overrides(settings["overrides"])
            if PLACES.fullmatch(each.key_or_group)
        }
        kept = [each for each in settings["overrides"] if each not in placed]
        wanted = {**settings, "overrides": kept, "goal": [f"{self.direction} {self.metric}"]}
        begun = study.user_attrs.get("settings")
        if begun is None:
            study.set_user_attr("settings", wanted)
            return
        before, now = ({line for lines in each.values() for line in lines} for each in (begun, wanted))
        if before != now:
            changes = [f"without {each}" for each in sorted(before - now)] + [
                f"with {each}" for each in sorted(now - before)
            ]
            raise ConfigError(
                f"The study {self.name} was begun with other settings; this command is {', '.join(changes)}. "
                "Choose another name: sweep.name=…"
            )


@contextmanager
def stored() -> Iterator[None]:
    """Explain a database that cannot be read or written.

    Raises:
        StoreError: instead of an error of Optuna or SQLAlchemy.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ or error  # never the URL, which may hold a password
        raise StoreError(f"sweep.storage: {str(getattr(cause, 'orig', None) or cause).splitlines()[0]}") from error
