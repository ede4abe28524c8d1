"""The two ends of an interpolation: a fine-tuned model, and the pretrained one that it began as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from imtext.errors import CheckpointError, ConfigError
from imtext.training.build import is_in_towers
from imtext.training.checkpoints import RERANKER, TrainedModel, read_checkpoint, rebuild, strip
from imtext.training.pretrained import load_pretrained


@dataclass
class Ends:
    """Weights before and after fine-tuning.

    Attributes:
        name: of the pretrained model.
        trained: the fine-tuned model; `mix` changes its weights.
        content: of its checkpoint.
        pretrained, tuned: weights by name.
    """

    name: str
    trained: TrainedModel
    content: dict[str, Any]
    pretrained: dict[str, Tensor]
    tuned: dict[str, Tensor]

    def mixture(self, alpha: float) -> dict[str, Tensor]:
        """``(1 - alpha) · pretrained + alpha · fine-tuned``; counters stay as they are in the fine-tuned model."""
        return {
            name: torch.lerp(self.pretrained[name], value, alpha) if value.is_floating_point() else value
            for name, value in self.tuned.items()
        }

    def mix(self, alpha: float) -> None:
        """Give the model the weights of a mixture."""
        self.trained.model.load_state_dict(self.mixture(alpha))

    def save(self, alpha: float, path: Path) -> Path:
        """Write a mixture as a checkpoint that can be evaluated and exported.

        Returns:
            The absolute path.
        """
        facts = self.content["imtext"]
        model = {**facts["model"], "lora_rank": 0}  # adapters are part of the weights now
        # A re-ranker belongs to the weights that it was trained for.
        left_out = ("model.", RERANKER)
        of_loss = {name: value for name, value in self.content["state_dict"].items() if not name.startswith(left_out)}
        weights = {f"model.{name}": value for name, value in self.mixture(alpha).items()}
        facts = {name: value for name, value in facts.items() if name != "reranker"}
        written = {**facts, "model": model, "interpolation": {"alpha": alpha, "pretrained": self.name}}
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({**strip(self.content), "state_dict": weights | of_loss, "imtext": written}, path)
        return path.absolute()


def read_ends(checkpoint: Path) -> Ends:
    """Read a fine-tuned model, and the pretrained one again from where its run found it.

    Args:
        checkpoint: of a run with `model=clip`.

    Raises:
        CheckpointError: the model did not begin as a pretrained one, or that is no longer there.
    """
    content = read_checkpoint(checkpoint)
    if "interpolation" in content["imtext"]:
        raise CheckpointError(
            f"{checkpoint} is a mixture already. Name the run whose weights were mixed: ckpt_path=runs/train/…"
        )
    settings = content["imtext"]["config"]["model"]
    if is_in_towers(settings) or settings.get("weights", "default") is None:
        raise CheckpointError(
            f"{checkpoint} did not begin as a pretrained dual encoder, so there is nothing to mix it with. "
            "`python -m imtext.interpolate` takes runs with model=clip"
        )
    content = strip(content)  # the optimizer's state takes twice the memory of the weights
    trained = rebuild(content)
    for tower in (trained.model.image_encoder, trained.model.text_encoder):
        tower.merge_adapters()
    try:
        before = load_pretrained({**settings, "lora_rank": 0}).model.state_dict()
    except ConfigError as error:
        raise CheckpointError(
            f"The pretrained weights that {checkpoint} began with are needed again: {error}"
        ) from error
    tuned = {name: value.clone() for name, value in trained.model.state_dict().items()}
    if {name: value.shape for name, value in before.items()} != {name: value.shape for name, value in tuned.items()}:
        raise CheckpointError(f"{settings['name']} is no longer the model that {checkpoint} began with")
    return Ends(str(settings["name"]), trained, content, before, tuned)


def check_alphas(alphas: Sequence[float]) -> list[float]:
    """The shares, in order and each once.

    Raises:
        ConfigError: there are none, or one is not between 0 and 1.
    """
    if not alphas or not all(0 <= alpha <= 1 for alpha in alphas):
        raise ConfigError(f"alphas takes numbers between 0 (pretrained) and 1 (fine-tuned), not {list(alphas)}")
    return sorted({float(alpha) for alpha in alphas})
