"""Finding checkpoints, reading them without trusting them, and rebuilding what they hold."""

from __future__ import annotations

import logging
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from imtext.config import instantiate
from imtext.data.tokenizer import CaptionTokenizer
from imtext.errors import CheckpointError
from imtext.launch import compose_config
from imtext.models import DualEncoder
from imtext.preprocess import Preprocess

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedModel:
    """A model with all it needs to read pictures and captions."""

    model: DualEncoder
    tokenizer: CaptionTokenizer
    preprocess: Preprocess
    config: dict[str, Any]


def find_checkpoint(wanted: str, runs_dir: Path) -> Path:
    """A path, a run's folder, or `last` / `best` of the newest run → the checkpoint's file.

    Raises:
        CheckpointError: there is none; says where it looked.
    """
    if wanted in ("last", "best"):
        found = sorted(runs_dir.glob(f"**/checkpoints/{wanted}.ckpt"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise CheckpointError(
                f"ckpt_path={wanted}: no run below {runs_dir} has a {wanted} checkpoint yet. "
                "Train first, or give the file: ckpt_path=<path>"
            )
        return found[-1].absolute()
    path = Path(wanted).expanduser().absolute()
    for candidate in (path, path / "checkpoints" / "best.ckpt", path / "best.ckpt"):
        if candidate.is_file():
            return candidate
    raise CheckpointError(f"There is no checkpoint at {path}. Use a file, a run's folder, `last` or `best`.")


def continue_run(overrides: list[str]) -> list[str]:
    """Complete a command line that has `ckpt_path=…`: go on in that run's folder, with that run's own settings.

    Overrides given now win over those given then.
    """
    given = {override.key_or_group: override for override in OverridesParser.create().parse_overrides(overrides)}
    wanted = given["ckpt_path"].value() if "ckpt_path" in given else None
    if not wanted:
        return overrides
    now = [override for override in overrides if override != given["ckpt_path"].input_line]
    runs_dir = Path(compose_config("train", now).paths.runs_dir)
    checkpoint = find_checkpoint(str(wanted), runs_dir)
    run_dir = checkpoint.parent.parent
    record = run_dir / ".hydra" / "overrides.yaml"
    then = [str(override) for override in OmegaConf.load(record)] if record.is_file() else []
    kept = [
        override
        for override in then
        if OverridesParser.create().parse_override(override).key_or_group not in {*given, "ckpt_path"}
    ]
    log.info("Going on with the run in %s%s", run_dir, f" and its settings: {' '.join(kept)}" if kept else "")
    return [*kept, *now, f"ckpt_path='{_escape(checkpoint)}'", f"hydra.run.dir='{_escape(run_dir)}'"]


def _escape(path: Path) -> str:
    return str(path).replace("'", "\\'")


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
        CaptionTokenizer.from_json(ours["tokenizer"]),
        Preprocess.from_dict(ours["preprocess"]),
        ours["config"],
    )


def strip(content: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint without optimizer and loop state: a third of the size, enough to evaluate and export."""
    return {key: content[key] for key in ("state_dict", "imtext", "epoch", "global_step", "pytorch-lightning_version")}
