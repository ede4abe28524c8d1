"""The report of a study: a table and a command in the terminal, and a page with pictures."""

from __future__ import annotations

import base64
import html
import io
import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib as mpl
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as plots

from imtext.config.trials import last_of_each
from imtext.training.sweep.ranking import RankedTrial, best_command, cells_of, print_trials, ranked
from imtext.training.sweep.study.queue import chosen_by, ended, error_of, metrics_of

log = logging.getLogger(__name__)
PICTURES: dict[str, Callable[..., object]] = {
    "History": plots.plot_optimization_history,
    "Importance of the settings (fANOVA)": partial(
        plots.plot_param_importances, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
    ),
    "Settings and results": plots.plot_parallel_coordinate,
    "Each setting": plots.plot_slice,
}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: right }
td:nth-child(2), th:nth-child(2) { text-align: left }
pre { background: #f4f4f4; padding: .7rem; white-space: pre-wrap; overflow-wrap: anywhere }
img { max-width: 100% }
"""


def report(study: optuna.Study, overrides: Sequence[str], folder: Path, metric: str) -> None:
    """Print the trials, and write `report.html`.

    Args:
        study: the study, which other workers may go on with.
        overrides: those that all trials share.
        folder: of the study.
        metric: what is optimised.
    """
    trials = ranking_of(study, overrides, metric)
    if not trials:
        print(f"No trial of the study {study.study_name} has ended yet", flush=True)
        return
    print_trials(trials, metric)
    file, new = folder / "report.html", folder / f"report.{os.getpid()}.html"
    new.write_text(page(study, trials, metric), encoding="utf-8")
    new.replace(file)
    print(f"Report: {file}; in MLflow, search for tags.sweep = '{study.study_name}'", flush=True)


def ranking_of(study: optuna.Study, overrides: Sequence[str], metric: str) -> list[RankedTrial]:
    """The trials that have ended, the best first."""
    shared = [*study.user_attrs.get("settings", {}).get("overrides", []), *overrides]
    trials = []
    for each in ended(study.get_trials()):
        own = tuple(last_of_each([*shared, *chosen_by(each)]))
        trials.append(RankedTrial(each.number, own, dict(metrics_of(each)), _note(each)))
    return ranked(trials, metric, study.direction is StudyDirection.MAXIMIZE)


def page(study: optuna.Study, trials: Sequence[RankedTrial], metric: str) -> str:
    """The page, with its pictures in it."""
    head, *lines = cells_of(trials, metric)
    rows = [f"<tr>{''.join(f'<th>{html.escape(cell)}</th>' for cell in head)}</tr>"]
    rows += [f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line)}</tr>" for line in lines]
    title = f"Study {html.escape(study.study_name)}: {len(trials)} trials, {html.escape(metric)}"
    command = best_command(trials)
    best = f"<h2>Best</h2><pre>{html.escape(command)}</pre>" if command else ""
    drawn = "".join(f"<h2>{name}</h2>{picture}" for name, picture in pictures_of(study, metric).items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1>{best}{drawn}<h2>Trials</h2><table>{''.join(rows)}</table></html>\n"
    )


def pictures_of(study: optuna.Study, metric: str) -> dict[str, str]:
    """Optuna's pictures by heading, as `<img>`; without those that need more trials or different values."""
    complete = [each for each in study.get_trials() if each.state is TrialState.COMPLETE]
    if len(complete) < 2:
        return {}
    logging.getLogger("matplotlib.category").setLevel(logging.WARNING)  # "parsable as floats"
    found = {}
    for name, plot in PICTURES.items():
        with mpl.rc_context({"backend": "agg", "figure.figsize": (10, 4.5)}):
            import matplotlib.pyplot as plt

            try:
                plot(study, target_name=metric)
                found[name] = _image(plt.gcf().canvas.figure, name)
            except (ValueError, RuntimeError) as error:  # all values are equal, for example
                log.debug("%s: %s", name, error)
            finally:
                plt.close("all")
    return found


def _image(figure: object, name: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")  # type: ignore[attr-defined]
    return f'<img alt="{name}" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'


def _note(trial: FrozenTrial) -> str:
    if trial.state is TrialState.PRUNED:
        return f"pruned after {len(trial.intermediate_values)} epochs"
    return f"failed: {error_of(trial).splitlines()[0]}" if trial.state is TrialState.FAIL else ""
