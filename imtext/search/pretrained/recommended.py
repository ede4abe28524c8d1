"""Exported CLIP models to start with, and when to take which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imtext.search.pretrained.layout import Precision


@dataclass(frozen=True)
class Recommended:
    """One model. All facts are as its authors published them.

    Attributes:
        repository: ``owner/name`` on the Hugging Face hub.
        megabytes: both graphs together, rounded.
        embed_dim: size of the joint space.
        image_size: side of the square that it sees, in pixels.
        licence: of the weights.
        languages: of the texts that it was trained on.
        when: when to take it.
        precision: which of the graphs to take; None: the best.
    """

    repository: str
    megabytes: int
    embed_dim: int
    image_size: int
    licence: str
    languages: str
    when: str
    precision: Precision | None = None


RECOMMENDED: Mapping[str, Recommended] = {
    "clip-b32": Recommended(
        "immich-app/ViT-B-32__openai", 605, 512, 224, "MIT", "English", "the usual start: fast, general"
    ),
    "clip-b32-small": Recommended(
        "Xenova/clip-vit-base-patch32",
        154,
        512,
        224,
        "MIT",
        "English",
        "little memory or disk: the same in 8 bits",
        "quantized",
    ),
    "clip-b16": Recommended(
        "Xenova/clip-vit-base-patch16", 599, 512, 224, "MIT", "English", "smaller objects; four times the work"
    ),
    "laion-b32": Recommended(
        "immich-app/ViT-B-32__laion2b-s34b-b79k", 605, 512, 224, "MIT", "English", "better than clip-b32, as fast"
    ),
    "siglip2-b16": Recommended(
        "immich-app/ViT-B-16-SigLIP2__webli",
        1500,
        768,
        224,
        "Apache-2.0",
        "109 languages",
        "best results, many languages; slow",
    ),
    "xlm-b32": Recommended(
        "immich-app/XLM-Roberta-Base-ViT-B-32__laion5b_s13b_b90k",
        1460,
        512,
        224,
        "MIT",
        "100 languages",
        "many languages, fast",
    ),
}
START = "clip-b32"
