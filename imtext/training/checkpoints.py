"""Finding checkpoints, reading them without trusting them, and rebuilding the models they hold."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor

from imtext.config.instantiate import instantiate
from imtext.data.pictures import normalize
from imtext.errors import CheckpointError, ConfigError
from imtext.models import DualEncoder
from imtext.preprocess import Preprocess, upright_rgb
from imtext.preprocess.tokenizer import Tokenizer, load_tokenizer
from imtext.training.build import build_model

FORMAT = 2  # of `checkpoint["imtext"]`


@dataclass(frozen=True)
class TrainedModel:
    """A model with everything it needs to read pictures and captions.

    Attributes:
        model: in evaluation mode on the CPU.
        tokenizer: that it was trained with.
        preprocess: that it was trained with.
        config: of its run, resolved, as plain values.
    """

    model: DualEncoder
    tokenizer: Tokenizer
    preprocess: Preprocess
    config: dict[str, Any]

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """``N`` texts → ``[N, embed_dim]`` of unit length."""
        ids, mask = map(torch.from_numpy, self.tokenizer(texts))
        return self.model.encode_text(ids, mask)

    @torch.inference_mode()
    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """``N`` pictures → ``[N, embed_dim]`` of unit length."""
        pixels = np.stack([self.preprocess.pixels(upright_rgb(image)) for image in images])
        return self.model.encode_image(normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2), self.preprocess))


def find_checkpoint(wanted: str, runs_dir: Path, of_run: Literal["best", "last"] = "best") -> Path:
    """Find a checkpoint's file.

    Args:
        wanted: a file, a run's folder, or `last` / `best` of the newest run.
        runs_dir: folder of all runs.
        of_run: which checkpoint of a run's folder is meant.

    Raises:
        CheckpointError: there is none; the message says where it was looked for.
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


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are ever unpickled.

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
    if (written := content["imtext"]["format"]) > FORMAT:
        raise CheckpointError(f"{path} was written by a newer imtext (format {written}); this one reads up to {FORMAT}")
    return content


def load_model(path: str | Path) -> TrainedModel:
    """Rebuild the model in a checkpoint, in evaluation mode on the CPU.

    Args:
        path: of a checkpoint written in training.

    Raises:
        CheckpointError: unreadable, or not written by imtext.
    """
    return rebuild(read_checkpoint(Path(path)))


def rebuild(content: Mapping[str, Any]) -> TrainedModel:
    """Like `load_model`, from the content of a checkpoint.

    Raises:
        CheckpointError: the model's code no longer fits the weights.
    """
    facts = _upgrade(content["imtext"])
    tokenizer = load_tokenizer(facts["tokenizer"], facts["vocabulary"]["kind"])
    settings = OmegaConf.create(facts["config"]["model"])
    for tower in (settings.image_encoder, settings.text_encoder):
        if "weights" in tower:
            tower.weights = None  # the checkpoint has them
    prefix = "model."
    weights = {
        name.removeprefix(prefix): value for name, value in content["state_dict"].items() if name.startswith(prefix)
    }
    try:
        model = build_model(settings, instantiate(settings.image_encoder), tokenizer.vocabulary)
        model.load_state_dict(weights)
    except (RuntimeError, ConfigError) as error:
        raise CheckpointError(f"The checkpoint does not fit this version of the model: {error}") from error
    return TrainedModel(model.eval(), tokenizer, Preprocess.from_dict(facts["preprocess"]), facts["config"])


def strip(content: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint without optimizer and loop state: a third of the size, enough to evaluate and export."""
    return {key: content[key] for key in ("state_dict", "imtext", "epoch", "global_step", "pytorch-lightning_version")}


def flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, with dots in the keys."""
    values: dict[str, Any] = {}
    for key, value in node.items():
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return values


def _upgrade(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Bring `checkpoint["imtext"]` of an older format to the present one."""
    upgraded = copy.deepcopy(dict(facts))
    if upgraded["format"] == 1:
        # Tokenizers were always learnt from captions, and the size of the vocabulary was a setting of the text tower.
        upgraded["vocabulary"] = load_tokenizer(upgraded["tokenizer"], "words").vocabulary.to_dict()
        upgraded["config"]["model"]["text_encoder"].pop("vocab_size", None)
        augment = upgraded["config"]["data"].get("augment")
        if augment is not None and augment["_target_"] == "imtext.data.transforms.Augment":
            augment["_target_"] = "imtext.data.augment.Augment"
            augment.pop("image_size", None)
    return {**upgraded, "format": FORMAT}
