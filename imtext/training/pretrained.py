"""A pretrained dual encoder without a run: to measure it as it is, to export it, to mix a fine-tuned one with it."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from imtext.errors import ConfigError
from imtext.training.build import ModelBuilder, is_in_towers
from imtext.training.checkpoints import TrainedModel

MAX_TEXT_LENGTH = 10_000  # tokens; the model's own limit applies


def load_pretrained(settings: DictConfig | dict[str, Any]) -> TrainedModel:
    """Build a model from its settings, with its own tokenizer and preprocessing.

    Args:
        settings: of a whole dual encoder, such as those of `model=clip`.

    Returns:
        The model in evaluation mode on the CPU.

    Raises:
        ConfigError: the settings describe two towers, which know nothing of each other before training; or the model
            cannot be found or read.
    """
    plain: Any = OmegaConf.to_container(settings, resolve=True) if isinstance(settings, DictConfig) else settings
    if is_in_towers(plain):
        raise ConfigError(
            "This model is made of two towers, which have to be trained together first: `python -m imtext.train`. "
            "Without training, take a whole one: model=clip model.name=<folder>"
        )
    builder = ModelBuilder(plain)
    tokenizer = builder.read_tokenizer(MAX_TEXT_LENGTH)
    if tokenizer is None:
        raise ConfigError(f"{plain['_target_']} brings no tokenizer, so it has to be trained first")
    model = builder.finish(tokenizer.vocabulary)
    return TrainedModel(model.eval(), tokenizer, builder.preprocess, {"model": plain})
