"""A pretrained dual encoder as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch

from imtext.errors import ConfigError
from imtext.models.clip import open_clip_layout, transformers_layout
from imtext.models.clip.source import find
from imtext.models.clip.towers import Parts
from imtext.models.dual_encoder import MAX_LOGIT_SCALE, DualEncoder
from imtext.models.low_rank import adapt
from imtext.preprocess.tokenizer import Tokenizer

ADAPTED = {"transformers": transformers_layout.ADAPTED, "open_clip": open_clip_layout.ADAPTED}


class CLIP(DualEncoder):
    """A pretrained dual encoder: CLIP (Radford et al., 2021), SigLIP (Zhai et al., 2023) and their relatives.

    The networks are those of transformers and open_clip. Tokenizer, preprocessing, projections and temperature are the
    checkpoint's own.

    Args:
        name: a folder in the layout of transformers or open_clip; a name of the Hugging Face hub; or a name and a tag
            of open_clip, such as ``ViT-B-32/laion2b_s34b_b79k``.
        weights: ``default`` for the weights of `name`, null for random ones.
        architecture: describes the network if there is no `name`; checkpoints hold it.
        lora_rank: rank of low-rank matrices that are added to the layers of both towers (Hu et al., "LoRA", ICLR 2022).
            Only these and the projections learn. 0 for none, so that all weights learn.
        lora_alpha: scale of the product of the low-rank matrices, divided by `lora_rank`.
        temperature: divides similarities in the loss; null takes the checkpoint's own.
        learn_temperature: learn it with the other parameters.
        mirror: in evaluation, embed each picture and its mirror image and take the mean.

    Raises:
        ConfigError: the model cannot be found or read, or is of another kind.
    """

    def __init__(
        self,
        name: str | None = None,
        weights: Literal["default"] | None = "default",
        architecture: dict[str, Any] | None = None,
        lora_rank: int = 0,
        lora_alpha: float = 16,
        temperature: float | None = None,
        learn_temperature: bool = True,
        mirror: bool = False,
    ) -> None:
        if lora_rank < 0:
            raise ConfigError(f"model.lora_rank must be 0 or more, not {lora_rank}")
        if weights == "default":
            source = find(name)
            read = source.architecture()
            parts = source.parts(read)
        else:
            read = architecture if architecture is not None else find(name).architecture()
            parts = _random(read)
        super().__init__(
            parts.image_encoder,
            parts.text_encoder,
            parts.embed_dim,
            dropout=0.0,
            temperature=0.07 if temperature is None else temperature,
            learn_temperature=learn_temperature,
            mirror=mirror,
        )
        self.architecture = read
        self.image_projection, self.text_projection = parts.image_projection, parts.text_projection
        if temperature is None:
            with torch.no_grad():
                self.logit_scale.copy_(parts.logit_scale)
        # SigLIP begins above the limit of CLIP. It may stay there, but not go further.
        self.max_logit_scale = max(MAX_LOGIT_SCALE, self.logit_scale.item())
        if lora_rank:
            for tower in (self.image_encoder, self.text_encoder):
                adapt(tower, tower, lora_rank, lora_alpha, ADAPTED[read["layout"]], "model.lora_rank")

    @classmethod
    def read_tokenizer(cls, settings: Mapping[str, Any], max_length: int) -> Tokenizer | None:
        """The tokenizer of the checkpoint.

        Args:
            settings: of the model.
            max_length: maximum number of tokens of a text; the model may allow less. SigLIP always takes its own.

        Raises:
            ConfigError: the tokenizer cannot be found or read.
        """
        source = find(settings.get("name"))
        return source.tokenizer(source.architecture(), max_length)

    def settings_without_files(self) -> dict[str, Any]:
        """The architecture in plain values, in place of the files that it was read from."""
        return {"architecture": self.architecture, "weights": None}

    @torch.no_grad()
    def clamp_logit_scale(self) -> None:
        """Keep ``exp(logit_scale)`` at 100 or below, or at its first value if that is larger."""
        self.logit_scale.clamp_(max=self.max_logit_scale)


def _random(architecture: Mapping[str, Any]) -> Parts:
    layout = architecture.get("layout")
    if layout == "transformers":
        return transformers_layout.build(architecture, None)
    if layout == "open_clip":
        return open_clip_layout.build(architecture, None)
    raise ConfigError(f"model.architecture.layout must be transformers or open_clip, not {layout!r}")
