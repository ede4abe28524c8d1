"""Train many trials and compare them: ``python -m imtext.sweep sweep=tricks``.

Trials share data and cached features, and run in one process. Each is compared with the first one, seed by seed. With
``sweep=optuna``, Optuna chooses the settings of the trials instead, in one or several processes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imtext.errors import ConfigError, ImtextError, needs

with needs("train", exits=__name__ == "__main__"):
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import DictConfig, OmegaConf

    from imtext.config.compose import parse_overrides
    from imtext.config.launch import launch
    from imtext.config.space import EXAMPLE, is_study, searched
    from imtext.config.trials import Trial, trials_of, without_sweep

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from imtext.training.sweep.bench import Bench
    from imtext.training.sweep.comparison import Result
    from imtext.training.sweep.study.study import Study

log = logging.getLogger(__name__)
RESULTS = "results.jsonl"


def sweep(config: DictConfig, overrides: Sequence[str]) -> list[Result]:
    """Train all trials with all seeds; the table is printed, and written to `comparison.md`.

    A trial that fails is left out, and the others go on. `results.jsonl` gets a line whenever a trial ends.

    Args:
        config: composed from `conf/sweep.yaml`.
        overrides: those of the command line.

    Returns:
        The results of all trials that finished.

    Raises:
        ConfigError: a trial has wrong settings, before any is trained; or, in the end, trials have failed.
        KeyboardInterrupt: stopped by Ctrl-C; the message says how to go on.
    """
    from imtext.training.sweep.bench import Bench
    from imtext.training.sweep.comparison import write_result

    if config.get("sweep") is None:
        raise ConfigError("This sweep is a grid of Hydra, not a list of trials: python -m imtext.train sweep=…")
    trials, folder = trials_of(config.sweep, without_sweep(overrides)), Path(config.paths.output_dir)
    for trial in trials:
        trial.config.paths = config.paths  # Hydra knows the folder of this run only
    results, bench, failed = _taken_over(trials, config.sweep.resume), Bench(), []
    for old in results:
        write_result(old, folder / RESULTS)
    done = {(old.trial, old.seed) for old in results}
    log.info("%d trials with %d seeds; results in %s", len(config.sweep.trials), len(config.sweep.seeds), folder)
    for number, trial in enumerate(trials, 1):
        if (trial.name, trial.seed) in done:
            continue
        if (result := _run(bench, trial, folder, f"{number}/{len(trials)}")) is None:
            failed.append(f"{trial.name}, seed {trial.seed}")
        else:
            results.append(result)
            write_result(result, folder / RESULTS)
    _report(results, folder)
    if failed:
        raise ConfigError(f"{len(failed)} of {len(trials)} trials failed: {'; '.join(failed)}")
    return results


def _taken_over(trials: Sequence[Trial], folder: str | None) -> list[Result]:
    """The results of an earlier sweep that belong to these trials."""
    from imtext.training.sweep.comparison import read_results

    if folder is None:
        return []
    file = Path(folder).expanduser() / RESULTS
    if not file.is_file():
        raise ConfigError(f"sweep.resume={folder}: there is no {RESULTS} in it")
    wanted = {(trial.name, trial.seed, trial.overrides) for trial in trials}
    found = [each for each in read_results(file) if (each.trial, each.seed, tuple(each.overrides)) in wanted]
    log.info("%d of %d trials are taken over from %s", len(found), len(trials), folder)
    return found


def _run(bench: Bench, trial: Trial, folder: Path, number: str) -> Result | None:
    """Train one trial, record it and print a line; None if it fails."""
    from imtext.training.sweep.comparison import Result
    from imtext.training.sweep.record import record

    try:
        metrics = bench.run(trial.config)
        record(trial, metrics, folder.name)
    except ImtextError as error:
        log.error("%s  %s, seed %d failed: %s", number, trial.name, trial.seed, error)
        return None
    except KeyboardInterrupt:
        log.info("Go on with: the same command and sweep.resume=%s", folder)
        raise
    except Exception:
        log.exception("%s  %s, seed %d failed", number, trial.name, trial.seed)
        return None
    result = Result(trial.name, trial.seed, list(trial.overrides), metrics)
    log.info(
        "%s  %s, seed %d: R@10 %.1f / %.1f, rsum %.1f, %.0f s", number, trial.name or "as it is", trial.seed,
        result.recalls("t2i")[-1], result.recalls("i2t")[-1], result.rsum, metrics["seconds"],
    )  # fmt: skip
    return result


def _report(results: Sequence[Result], folder: Path) -> None:
    """Print the comparison, and write all of it."""
    from rich.console import Console

    from imtext.training.sweep.comparison import CAPTION, compare, markdown, table_of

    rows = compare(results)
    if not rows:
        return
    Console().print(table_of(rows))
    file = folder / "comparison.md"
    file.write_text(f"{markdown(rows)}\n\nR@1 / 5 / 10; {CAPTION}.\n", encoding="utf-8")
    print(f"Table: {file}; in MLflow, search for tags.sweep = '{folder.name}'", flush=True)


def search(config: DictConfig, overrides: Sequence[str]) -> list[FrozenTrial]:
    """Run a study of Optuna, or go on with it; see `imtext.training.sweep.study.study.Study.run`.

    Args:
        config: composed from `conf/sweep.yaml` with `sweep=optuna`.
        overrides: those of the command line.
    """
    from imtext.config.instantiate import instantiate

    if OmegaConf.is_missing(config.sweep, "space") and config.sweep.workers:
        raise ConfigError(f"sweep.space is needed: {EXAMPLE}")
    settings = OmegaConf.create(OmegaConf.to_container(config.sweep, resolve=True))
    if OmegaConf.is_missing(settings, "space"):
        settings.space = {}
    study: Study = instantiate(settings)
    return study.run(config, without_sweep(overrides))


def check(overrides: list[str]) -> list[str]:
    """Check that Optuna is there if it is needed; refuse several values of a setting, which make a grid of Hydra."""
    if is_study(overrides):
        with needs("optuna"):
            import optuna  # noqa: F401
        return searched(overrides)
    for each in parse_overrides(overrides):
        if each.is_sweep_override():
            raise ConfigError(f"{each.input_line}: list the trials, as in sweep.trials=['{each.key_or_group}=…', …]")
    return overrides


def task(config: DictConfig) -> None:
    """One sweep."""
    overrides = list(HydraConfig.get().overrides.task)
    if config.get("sweep") is not None and "storage" in config.sweep:
        search(config, overrides)
    else:
        sweep(config, overrides)


def main() -> None:
    """The command line."""
    launch("sweep", task, check)


if __name__ == "__main__":
    main()
