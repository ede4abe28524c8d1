"""Find checkpoints, read them without trusting them, and rebuild their models."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from imtext.data.pictures import normalize
from imtext.errors import CheckpointError, ConfigError
from imtext.models import DualEncoder
from imtext.models.reranker import Reranker
from imtext.preprocess import Preprocess, upright_rgb
from imtext.preprocess.tokenizer import Tokenizer, load_tokenizer
from imtext.training.build import ModelBuilder, build_reranker

FORMAT = 2  # format of `checkpoint["imtext"]`
# Names of a re-ranker's weights in a checkpoint. A program that knows no re-rankers leaves them out, and reads the dual
# encoder as it should, so they need no new format.
RERANKER = "reranker."


@dataclass(frozen=True)
class TrainedModel:
    """A model with its tokenizer and its preprocessing.

    Attributes:
        model: in evaluation mode on the CPU.
        tokenizer: tokenizer that it was trained with.
        preprocess: preprocessing that it was trained with.
        config: configuration of its run, resolved, as plain values.
        reranker: re-ranker that was trained for it, in evaluation mode on the CPU; None if there is none.
    """

    model: DualEncoder
    tokenizer: Tokenizer
    preprocess: Preprocess
    config: dict[str, Any]
    reranker: Reranker | None = None

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
    """Find the file of a checkpoint.

    Args:
        wanted: a file, a run's folder, or `last` / `best` of the newest run.
        runs_dir: folder of all runs.
        of_run: which checkpoint to use if `wanted` is a run's folder.

    Raises:
        CheckpointError: there is no such checkpoint; the message names the expected path.
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
    """Read a checkpoint. Only tensors and plain values are unpickled.

    Raises:
        CheckpointError: the checkpoint is unreadable, or was not written by imtext.
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
        path: path of a checkpoint written by a training run.

    Raises:
        CheckpointError: the checkpoint is unreadable, or was not written by imtext.
    """
    return rebuild(read_checkpoint(Path(path)))


def rebuild(content: Mapping[str, Any]) -> TrainedModel:
    """Like `load_model`, for the content of a checkpoint.

    Raises:
        CheckpointError: the model's code no longer fits the weights.
    """
    facts = _upgrade(content["imtext"])
    known = facts["vocabulary"]
    tokenizer = load_tokenizer(facts["tokenizer"], known["kind"], fixed_length=known.get("fixed_length", False))
    reranker = None
    try:
        model = ModelBuilder(facts["model"]).finish(tokenizer.vocabulary)
        model.load_state_dict(part_of_state(content["state_dict"], "model."))
        if (settings := facts.get("reranker")) is not None:
            reranker = build_reranker(settings, model, tokenizer.vocabulary).eval()
            reranker.load_state_dict(part_of_state(content["state_dict"], RERANKER))
    except (RuntimeError, ConfigError) as error:
        raise CheckpointError(f"The checkpoint does not fit this version of the model: {error}") from error
    preprocess = Preprocess.from_dict(facts["preprocess"])
    return TrainedModel(model.eval(), tokenizer, preprocess, facts["config"], reranker)


def part_of_state(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries of a state dict whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a checkpoint; an interruption leaves the old one."""
    part = path.with_name(f"{path.name}.part")
    buffer = io.BytesIO()  # a full disk is then an OSError, not one of torch's own
    torch.save(content, buffer)
    try:
        part.write_bytes(buffer.getbuffer())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def strip(content: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint without optimizer and loop state. It has a third of the size and can be evaluated and exported."""
    return {key: content[key] for key in ("state_dict", "imtext", "epoch", "global_step", "pytorch-lightning_version")}


def flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one flat dictionary with dotted keys."""
    values: dict[str, Any] = {}
    for key, value in node.items():
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return values


def _upgrade(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Upgrade `checkpoint["imtext"]` of an older format to the current one."""
    upgraded = copy.deepcopy(dict(facts))
    if upgraded["format"] == 1:
        # In format 1, tokenizers were learnt from captions, and the vocabulary size was a setting of the text tower.
        upgraded["vocabulary"] = load_tokenizer(upgraded["tokenizer"], "words").vocabulary.to_dict()
        upgraded["config"]["model"]["text_encoder"].pop("vocab_size", None)
        augment = upgraded["config"]["data"].get("augment")
        if augment is not None and augment["_target_"] == "imtext.data.transforms.Augment":
            augment["_target_"] = "imtext.data.augment.Augment"
            augment.pop("image_size", None)
    if "model" not in upgraded:  # written before towers could come from files of any shape
        upgraded["model"] = copy.deepcopy(upgraded["config"]["model"])
        for tower in ("image_encoder", "text_encoder"):
            upgraded["model"][tower] |= {"weights": None} if "weights" in upgraded["model"][tower] else {}
    return {**upgraded, "format": FORMAT}
