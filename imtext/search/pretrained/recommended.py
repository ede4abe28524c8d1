"""Exported CLIP models to start with, and when to take which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imtext.search.pretrained.layout import Precision


@dataclass(frozen=True)
class Recommended:
    """One model. All facts are as published by its authors and by Immich; sizes that are not listed follow from the
    number of parameters.

    Attributes:
        repository: ``owner/name`` on the Hugging Face hub.
        megabytes: both graphs together, rounded.
        embed_dim: size of the joint space.
        image_size: side of the square that it sees, in pixels.
        licence: of the weights.
        languages: of the texts that it was trained on.
        recall: mean of R@1, R@5 and R@10, text to image in English, on Crossmodal-3600, in per cent; None: not
            measured.
        when: when to take it.
        precision: which of the graphs to take; None: the best.
    """

    repository: str
    megabytes: int
    embed_dim: int
    image_size: int
    licence: str
    languages: str
    recall: float | None
    when: str
    precision: Precision | None = None


# fmt: off
RECOMMENDED: Mapping[str, Recommended] = {
    "laion-b32": Recommended(
        "immich-app/ViT-B-32__laion2b-s34b-b79k", 605, 512, 224, "MIT", "English", 68.8,
        "the usual start: fast and good",
    ),
    "clip-b32": Recommended(
        "immich-app/ViT-B-32__openai", 605, 512, 224, "MIT", "English", 59.4,
        "OpenAI's first CLIP, to compare with others",
    ),
    "clip-b32-small": Recommended(
        "Xenova/clip-vit-base-patch32", 154, 512, 224, "MIT", "English", None,
        "the same in 8 bits: little memory and disk", "quantized",
    ),
    "siglip-b16": Recommended(
        "immich-app/ViT-B-16-SigLIP__webli", 813, 768, 224, "Apache-2.0", "English", 71.6,
        "better results, 2.5 × the time",
    ),
    "siglip2-b32": Recommended(
        "immich-app/ViT-B-32-SigLIP2-256__webli", 1_510, 768, 256, "Apache-2.0", "109 languages", 73.2,
        "better results, 1.5 × the time; many languages",
    ),
    "siglip2-b16": Recommended(
        "immich-app/ViT-B-16-SigLIP2__webli", 1_500, 768, 224, "Apache-2.0", "109 languages", 75.2,
        "the best of these, 2.5 × the time; many languages",
    ),
    "xlm-b32": Recommended(
        "immich-app/XLM-Roberta-Base-ViT-B-32__laion5b_s13b_b90k", 1_460, 512, 224, "MIT", "100 languages", 68.3,
        "fast; Chinese, Japanese and other languages that the others know less of",
    ),
}
# fmt: on
START = "laion-b32"
