"""Finding checkpoints, reading them without trusting them, and rebuilding what they hold."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import OmegaConf

from imtext.config.launch import compose_config, parse_overrides
from imtext.config.schema import instantiate
from imtext.errors import CheckpointError
from imtext.models import DualEncoder
from imtext.preprocess import Preprocess
from imtext.tokenizer import Tokenizer, load_tokenizer


@dataclass(frozen=True)
class TrainedModel:
    """A model with all it needs to read pictures and captions."""

    model: DualEncoder
    tokenizer: Tokenizer
    preprocess: Preprocess
    config: dict[str, Any]


def find_checkpoint(wanted: str, runs_dir: Path, of_run: Literal["best", "last"] = "best") -> Path:
    """A path, a run's folder, or `last` / `best` of the newest run → the checkpoint's file.

    Args:
        wanted: what was asked for.
        runs_dir: where runs are.
        of_run: which one of a run's folder.

    Raises:
        CheckpointError: there is none; says where it looked.
    """
    if wanted in ("last", "best"):
        # The newest run is the one that saved last; its best may be older than another run's.
        saved = sorted(runs_dir.glob("**/checkpoints/*.ckpt"), key=lambda path: path.stat().st_mtime)
        found = saved[-1].with_name(f"{wanted}.ckpt") if saved else runs_dir / "…" / f"{wanted}.ckpt"
        if not found.is_file():
            raise CheckpointError(
                f"ckpt_path={wanted}: there is no {found}. Train first, or give the file: ckpt_path=<path>"
            )
        return found.absolute()
    path = Path(wanted).expanduser().absolute()
    for candidate in (path, path / "checkpoints" / f"{of_run}.ckpt", path / f"{of_run}.ckpt"):
        if candidate.is_file():
            return candidate
    raise CheckpointError(f"There is no checkpoint at {path}. Use a file, a run's folder, `last` or `best`.")


def continue_run(overrides: list[str]) -> list[str]:
    """Complete a command line that has `ckpt_path=…`.

    A checkpoint in a run's folder below `runs_dir` goes on there, with the settings of that run; overrides given now
    win over those given then. Any other checkpoint starts a run of its own.
    """
    given = {override.key_or_group: override for override in parse_overrides(overrides)}
    wanted = given["ckpt_path"].value() if "ckpt_path" in given else None
    if not wanted:
        return overrides
    now = [override for override in overrides if override != given["ckpt_path"].input_line]
    runs_dir = Path(compose_config("train", now).paths.runs_dir)
    checkpoint = find_checkpoint(str(wanted), runs_dir, "last")
    run_dir, resumed = checkpoint.parent.parent, f"ckpt_path={_quote(checkpoint)}"
    # Not what Hydra noted in the folder: that could be of an attempt to go on which was refused.
    then = read_checkpoint(checkpoint)["imtext"]["overrides"]
    if checkpoint.parent.name != "checkpoints" or runs_dir not in run_dir.parents or then is None:
        print(f"Going on from {checkpoint} in a new run", file=sys.stderr)
        return [*now, resumed]
    # A trial of a sweep goes on by itself.
    left_out = {*given, "ckpt_path", "sweep"}
    kept = [str(override.input_line) for override in parse_overrides(then) if override.key_or_group not in left_out]
    print(f"Going on in {run_dir}{' with ' + ' '.join(kept) if kept else ''}", file=sys.stderr)
    return [*kept, *now, resumed, f"hydra.run.dir={_quote(run_dir)}", "hydra.mode=RUN"]


def _quote(path: Path) -> str:
    """A path as a value that Hydra reads as it is."""
    return "'" + str(path).replace("'", "\\'") + "'"


def check_resume(content: dict[str, Any], config: dict[str, Any]) -> None:
    """Refuse to go on with what a checkpoint cannot go on with.

    Args:
        content: of the checkpoint.
        config: the resolved configuration asked for.

    Raises:
        CheckpointError: no training state, a different model, settings that live in the optimizer's state, or
            fewer epochs than it has behind it.
    """
    if "optimizer_states" not in content:
        raise CheckpointError(
            "The checkpoint holds a model without the state of its training: evaluate it with "
            "`python -m imtext.evaluate ckpt_path=…`, or go on from a `last.ckpt`"
        )
    fixed, free = ("model.", "optim."), ("optim.schedule", "optim.warmup")
    before, after = flat(content["imtext"]["config"]), flat(config)
    for key in sorted(before.keys() | after.keys()):
        same = before.get(key) == after.get(key) or key.endswith((".weights", ".vocab_size"))
        if key.startswith(fixed) and not key.startswith(free) and not same:
            raise CheckpointError(
                f"{key}={after.get(key)}: the checkpoint was trained with {before.get(key)}, and only fits that. "
                "Leave the setting as it was, or start a new training without ckpt_path."
            )
    if epochs_done(content) > (limit := config["trainer"]["max_epochs"]):
        raise CheckpointError(
            f"trainer.max_epochs={limit}: the checkpoint has {epochs_done(content)} epochs behind it already"
        )


def epochs_done(content: dict[str, Any]) -> int:
    """How many epochs of training are in a checkpoint."""
    return int(content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])


def flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, with dots in the keys."""
    values: dict[str, Any] = {}
    for key, value in node.items():
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return values


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint; only tensors and plain values are ever unpickled.

    Raises:
        CheckpointError: unreadable, or not written by imtext.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint: {str(error).splitlines()[0] if str(error) else 'empty file'}"
        ) from error
    if not isinstance(content, dict) or "imtext" not in content:
        raise CheckpointError(f"{path} was not written by `python -m imtext.train`")
    return content


def load_model(path: str | Path) -> TrainedModel:
    """Rebuild the model in a checkpoint, in evaluation mode on the CPU.

    Args:
        path: of a checkpoint written in training.

    Raises:
        CheckpointError: unreadable, or not written by imtext.
    """
    content = read_checkpoint(Path(path))
    return rebuild(content)


def rebuild(content: dict[str, Any]) -> TrainedModel:
    """Like `load_model`, of a checkpoint already read."""
    ours = content["imtext"]
    settings = OmegaConf.create(ours["config"]["model"])
    if "weights" in settings.image_encoder:
        settings.image_encoder.weights = None  # the checkpoint has them
    model: DualEncoder = instantiate(settings)
    weights = {
        name.removeprefix("model."): value for name, value in content["state_dict"].items() if name.startswith("model.")
    }
    model.load_state_dict(weights)
    return TrainedModel(
        model.eval(),
        load_tokenizer(ours["tokenizer"], "words"),
        Preprocess.from_dict(ours["preprocess"]),
        ours["config"],
    )


def strip(content: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint without optimizer and loop state: a third of the size, enough to evaluate and export."""
    return {key: content[key] for key in ("state_dict", "imtext", "epoch", "global_step", "pytorch-lightning_version")}
