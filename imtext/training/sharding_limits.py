"""What does not go together with towers that are divided among processes."""

from __future__ import annotations

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import WeightAveraging

from imtext.errors import ConfigError
from imtext.models import DualEncoder
from imtext.models.text_encoder import TextEncoder
from imtext.training.callbacks import MineNeighbours
from imtext.training.grad_cache import stage_with_batch_norms
from imtext.training.stages import Plan


def check_sharding(trainer: Trainer, model: DualEncoder, plan: Plan, compiled: bool = False) -> None:
    """Refuse settings that need whole towers in one process.

    Raises:
        ConfigError: the message names the setting, and what to change. `trainer=ddp` takes all of them.
    """
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    towers = {"model.image_encoder": model.image_encoder, "model.text_encoder": model.text_encoder}
    scalars = [
        f"{tower}.{name}" for tower in towers for name, value in towers[tower].named_parameters() if not value.ndim
    ]
    if any(isinstance(each, WeightAveraging) for each in callbacks):
        reason = "an average of the weights needs whole ones. Set callbacks.average=null"
    elif any(isinstance(each, MineNeighbours) for each in callbacks):
        reason = "data.order=neighbours embeds pictures in one process. Set data.order=null"
    elif (stage := stage_with_batch_norms(model, plan)) is not None:
        reason = (
            f"in stage {stage} batch norms of the image tower learn, and would differ between processes. Set "
            "model.image_encoder.train_batch_norm=false"
        )
    elif type(model.text_encoder).read is not TextEncoder.read:
        reason = "this text tower reads all captions before an epoch. Take another model/text_encoder"
    elif compiled:
        reason = "layers are collected while they run, which torch.compile does not see. Set compile=false"
    elif scalars:
        reason = f"{scalars[0]} is a single number, which cannot be divided. Take another tower"
    else:
        return
    raise ConfigError(f"trainer=fsdp: {reason}, or train with trainer=ddp")
