"""The embedded data set: drawn scenes with five captions each. Nothing to download."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from imtext.data.captions import CaptionedImages, fingerprint
from imtext.data.datamodule import RetrievalDataModule
from imtext.data.scenes import VERSION, Scene, describe, draw, random_scene
from imtext.errors import ConfigError


class Shapes(RetrievalDataModule):
    """Drawn scenes, identical for the same seed on every machine.

    Args:
        num_images: number of scenes; no two are the same.
        scene_seed: fixes the scenes, independently of the run's seed.
        common: settings shared by all data sets, see `RetrievalDataModule`.
    """

    def __init__(self, num_images: int = 4_000, scene_seed: int = 7, **common: Any) -> None:
        super().__init__(**common)
        if not 5 <= num_images <= 100_000:
            raise ConfigError(f"data.num_images must be between 5 and 100,000 (scenes do not repeat), not {num_images}")
        self.num_images, self.scene_seed = num_images, scene_seed

    def load_source(self) -> CaptionedImages:
        """Compose the scenes and their captions; pictures are drawn when needed."""
        scenes: dict[Scene, None] = {}  # a dict keeps the order
        rng = np.random.default_rng([self.scene_seed, 0])
        while len(scenes) < self.num_images:
            scenes.setdefault(random_scene(rng))
        chosen = list(scenes)
        captions = [describe(scene, np.random.default_rng([self.scene_seed, 1, i])) for i, scene in enumerate(chosen)]

        def load(row: int) -> Image.Image:
            return draw(chosen[row], np.random.default_rng([self.scene_seed, 2, row]))

        return CaptionedImages(
            source="shapes",
            captions=captions,
            names=[f"scene {row}" for row in range(self.num_images)],
            load_image=load,
            fingerprint=fingerprint(["shapes", VERSION, str(self.scene_seed), str(self.num_images)]),
        )
