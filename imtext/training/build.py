"""Build a dual encoder from settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from imtext.config.instantiate import instantiate, locate
from imtext.config.signatures import names_of, settings_of
from imtext.errors import ConfigError
from imtext.models.dual_encoder import DualEncoder
from imtext.models.reranker import Reranker
from imtext.preprocess import Preprocess
from imtext.preprocess.tokenizer import Tokenizer, Vocabulary

TOWERS = ("image_encoder", "text_encoder")


class ModelBuilder:
    """Builds a dual encoder in two steps, because the data lies between them.

    The data needs the preprocessing of the image tower, and the tokenizer of a pretrained text tower. The text tower
    needs the vocabulary of the data. So the image tower is built at once, the text tower and the projections by
    `finish`. Settings without towers describe a whole dual encoder, such as CLIP, which is built at once. The settings
    are not changed.

    Args:
        settings: settings of the model.

    Attributes:
        preprocess: the input that the image tower expects.

    Raises:
        ConfigError: a constructor refuses its settings.
    """

    def __init__(self, settings: DictConfig | Mapping[str, Any]) -> None:
        plain: Any = OmegaConf.to_container(settings, resolve=True) if isinstance(settings, DictConfig) else settings
        values = {name: value for name, value in plain.items() if name != "reranker"}  # it is trained afterwards
        self._settings = values
        self._whole: DualEncoder | None = None if is_in_towers(values) else instantiate(values)
        self._image_encoder = self._whole.image_encoder if self._whole else instantiate(values["image_encoder"])
        self.preprocess: Preprocess = self._image_encoder.preprocess

    def read_tokenizer(self, max_length: int) -> Tokenizer | None:
        """The tokenizer of a pretrained text tower; None if the text tower takes the tokenizer of the data.

        Args:
            max_length: maximum number of tokens of a text; the weights may allow less.

        Raises:
            ConfigError: the tokenizer cannot be found or read.
        """
        settings = self._settings if self._whole is not None else self._settings["text_encoder"]
        tokenizer: Tokenizer | None = locate(str(settings["_target_"])).read_tokenizer(settings, max_length)
        return tokenizer

    def check_size(self, preprocess: Preprocess, sizes: Sequence[int] = ()) -> None:
        """Refuse pictures of a size that the image tower does not take, before all of them are decoded.

        Args:
            preprocess: of the data.
            sizes: sizes of training pictures that replace the size of `preprocess`, see `imtext.data.scales`.

        Raises:
            ConfigError: the image tower takes another size.
        """
        only = self._image_encoder.fixed_image_size
        if only not in (None, preprocess.image_size):
            raise ConfigError(
                f"data.image_size={preprocess.image_size}: the image tower takes pictures of {only} pixels only. Leave "
                "data.image_size=null, or set model.image_encoder.image_size if the tower has this setting."
            )
        if only is not None and sizes:
            raise ConfigError(
                f"data.scales: the image tower takes pictures of {only} pixels only. Set data.scales=null, or take an "
                "image tower for pictures of any size, such as MobileNetV3 or EfficientNet."
            )

    def finish(self, vocabulary: Vocabulary) -> DualEncoder:
        """Build the text tower for a vocabulary and join it with the image tower.

        Raises:
            ConfigError: a constructor refuses its settings.
        """
        if self._whole is not None:
            return self._whole
        values = {name: value for name, value in self._settings.items() if name not in TOWERS}
        text_encoder = instantiate(self._settings["text_encoder"], vocabulary=vocabulary)
        model: DualEncoder = instantiate(values, image_encoder=self._image_encoder, text_encoder=text_encoder)
        return model


def build_reranker(settings: Mapping[str, Any], model: DualEncoder, vocabulary: Vocabulary) -> Reranker:
    """Build a re-ranker for a dual encoder.

    Args:
        settings: settings of the re-ranker, as plain values.
        model: dual encoder, whose image tower gives the tokens.
        vocabulary: vocabulary of its tokenizer.

    Raises:
        ConfigError: the constructor refuses its settings.
    """
    reranker: Reranker = instantiate(
        settings, num_token_features=model.image_encoder.num_token_features, vocabulary=vocabulary
    )
    return reranker


def is_in_towers(settings: Mapping[str, Any]) -> bool:
    """Whether a model's settings describe two towers, and not a whole dual encoder."""
    return "image_encoder" in settings


def settings_without_files(model: DualEncoder, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a model, completed so that they rebuild it without the files that its weights came from.

    Args:
        model: built from the settings.
        settings: as plain values.
    """
    settings = {name: value for name, value in settings.items() if name != "reranker"}
    if not is_in_towers(settings):
        return {**settings, **model.settings_without_files()}
    towers = {name: {**settings[name], **getattr(model, name).settings_without_files()} for name in TOWERS}
    for tower in towers.values():
        if "weights" in names_of(settings_of(locate(str(tower["_target_"])))):
            tower["weights"] = None
    return {**settings, **towers}
