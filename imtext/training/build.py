"""Build a dual encoder from settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from imtext.config.instantiate import instantiate
from imtext.models.dual_encoder import DualEncoder
from imtext.models.image_encoder import ImageEncoder
from imtext.preprocess.tokenizer import Vocabulary


def build_model(
    settings: DictConfig | Mapping[str, Any], image_encoder: ImageEncoder, vocabulary: Vocabulary
) -> DualEncoder:
    """Build the text tower for a vocabulary and join it with an image tower.

    The image tower comes first, because the data needs its preprocessing. The settings are not changed.

    Args:
        settings: settings of the whole model; `settings.image_encoder` has already been used.
        image_encoder: built from `settings.image_encoder`.
        vocabulary: vocabulary of the tokenizer.

    Raises:
        ConfigError: a constructor refuses its settings.
    """
    values = OmegaConf.to_container(settings, resolve=True) if isinstance(settings, DictConfig) else dict(settings)
    assert isinstance(values, dict)
    del values["image_encoder"]
    text_encoder = instantiate(values.pop("text_encoder"), vocabulary=vocabulary)
    model: DualEncoder = instantiate(values, image_encoder=image_encoder, text_encoder=text_encoder)
    return model
