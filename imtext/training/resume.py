"""Going on with a run: complete its command line, check what may change, and restore its weights."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from imtext.config.compose import compose_config, parse_overrides
from imtext.errors import CheckpointError
from imtext.training.checkpoints import FORMAT, find_checkpoint, flat, read_checkpoint

if TYPE_CHECKING:
    from imtext.training.module import RetrievalModule

log = logging.getLogger(__name__)

FIXED_SETTINGS = ("model.", "optim.")  # a checkpoint fits no other model, and its optimizer keeps its rates
FREE_SETTINGS = ("optim.schedule", "optim.warmup", "model.reranker")  # a re-ranker is trained afterwards


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint that a run goes on from.

    Attributes:
        path: of the file.
        content: what it holds.
    """

    path: Path
    content: dict[str, Any]

    @property
    def epochs_done(self) -> int:
        """Number of epochs that are complete."""
        return epochs_done(self.content)

    @property
    def run_ids(self) -> dict[str, str]:
        """The run's ids by tracker."""
        return dict(self.content["imtext"]["run_ids"])

    def restore(self, module: RetrievalModule) -> None:
        """Load the weights before training starts, because features are cached with them, and keep the run's ids.

        Raises:
            CheckpointError: the checkpoint has another vocabulary, or a loss with other parameters.
        """
        module.on_load_checkpoint(self.content)
        # With an average of the weights, `state_dict` holds the average and this entry the weights that learn.
        weights = self.content.get("current_model_state", self.content["state_dict"])
        try:
            module.load_state_dict(weights)
        except RuntimeError as error:
            raise CheckpointError(
                f"{self.path} has other parameters than this model and its loss ({' '.join(str(error).split())}). "
                "Leave the settings as they were, or start a new run without ckpt_path."
            ) from error
        module.run_ids |= self.run_ids


def find_resume_point(config: DictConfig) -> ResumePoint | None:
    """Read and check the checkpoint named by `ckpt_path`.

    Args:
        config: composed from `conf/train.yaml`. Its logger gets the id of the run to go on with.

    Returns:
        None for a new run.

    Raises:
        CheckpointError: there is no such checkpoint, or the run cannot go on from it with these settings.
    """
    if config.ckpt_path is None:
        return None
    path = find_checkpoint(str(config.ckpt_path), Path(config.paths.runs_dir), "last")
    point = ResumePoint(path, read_checkpoint(path))
    check_resume(point.content, OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
    if point.epochs_done == config.trainer.max_epochs:
        log.info("All %d epochs are complete; to train longer, raise trainer.max_epochs", config.trainer.max_epochs)
    if config.get("logger") and "run_id" in config.logger:
        config.logger.run_id = point.run_ids.get("mlflow")
    return point


def check_resume(content: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuse to go on from a checkpoint with settings that it does not fit.

    Args:
        content: of the checkpoint.
        config: the resolved configuration asked for.

    Raises:
        CheckpointError: an old format, no training state, another model, other settings that live in the optimizer's
            state, or fewer epochs than are complete.
    """
    _check_format(content)
    if "optimizer_states" not in content:
        raise CheckpointError(
            "The checkpoint holds a model without the state of its training: evaluate it with "
            "`python -m imtext.evaluate ckpt_path=…`, or go on from a `last.ckpt`"
        )
    before, after = flat(content["imtext"]["config"]), flat(config)
    for key in sorted(before.keys() | after.keys()):
        same = before.get(key) == after.get(key) or key.endswith(".weights")
        if key.startswith(FIXED_SETTINGS) and not key.startswith(FREE_SETTINGS) and not same:
            raise CheckpointError(
                f"{key}={after.get(key)}: the checkpoint was trained with {before.get(key)}, and only fits that. "
                "Leave the setting as it was, or start a new run without ckpt_path."
            )
    if epochs_done(content) > (limit := config["trainer"]["max_epochs"]):
        raise CheckpointError(
            f"trainer.max_epochs={limit}: the checkpoint has {epochs_done(content)} complete epochs already"
        )


def _check_format(content: Mapping[str, Any]) -> None:
    if (written := content["imtext"]["format"]) != FORMAT:
        raise CheckpointError(
            f"The checkpoint has format {written}, and training goes on from format {FORMAT} only: start a new run, or "
            "evaluate or export this one"
        )


def epochs_done(content: Mapping[str, Any]) -> int:
    """Number of complete epochs in the content of a checkpoint."""
    return int(content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])


def continue_run(overrides: list[str], program: str = "train", key: str = "ckpt_path") -> list[str]:
    """Complete a command line that has `ckpt_path=…`.

    A checkpoint in a run's folder below `runs_dir` goes on there, with the settings of that run; overrides given now
    win over those of the run. Any other checkpoint starts a run of its own.

    Args:
        overrides: as on the command line.
        program: the program that goes on, `train` or `rerank`.
        key: the setting that names the checkpoint.

    Raises:
        CheckpointError: there is none, it is one of another program, or it has an old format, whose overrides may name
            settings that are gone.
    """
    given = {override.key_or_group: override for override in parse_overrides(overrides)}
    wanted = given[key].value() if key in given else None
    if not wanted:
        return overrides
    now = [override for override in overrides if override != given[key].input_line]
    runs_dir = Path(compose_config(program, now).paths.runs_dir)
    checkpoint = find_checkpoint(str(wanted), runs_dir, "last")
    run_dir, resumed = checkpoint.parent.parent, f"{key}={quote(checkpoint)}"
    # The overrides that Hydra wrote into the folder may be those of a later command that was refused.
    content = read_checkpoint(checkpoint)
    _check_format(content)
    _check_program(content, program, run_dir)
    then = content["imtext"]["overrides"]
    if checkpoint.parent.name != "checkpoints" or runs_dir not in run_dir.parents or then is None:
        print(f"Resuming from {checkpoint} in a new run", file=sys.stderr)
        return [*now, resumed]
    # A trial of a sweep goes on as a single run.
    replaced = {*given, key, "sweep"}
    kept = [str(override.input_line) for override in parse_overrides(then) if override.key_or_group not in replaced]
    print(f"Resuming in {run_dir}{' with ' + ' '.join(kept) if kept else ''}", file=sys.stderr)
    return [*kept, *now, resumed, f"hydra.run.dir={quote(run_dir)}", "hydra.mode=RUN"]


def _check_program(content: Mapping[str, Any], program: str, run_dir: Path) -> None:
    of_reranker = "rerank" in content["imtext"]
    if of_reranker != (program == "rerank"):
        command = f"python -m imtext.rerank resume={run_dir}" if of_reranker else "python -m imtext.train ckpt_path=…"
        raise CheckpointError(f"{run_dir} is the run of another program: go on with `{command}`")


def quote(path: Path) -> str:
    """A path as a value that Hydra reads unchanged."""
    return "'" + str(path).replace("'", "\\'") + "'"
