"""The embedded data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.data import Shapes
from imtext.errors import ConfigError


def test_is_the_same_every_time(tmp_path: Path) -> None:
    first, second = (Shapes(30, image_size=32, cache_dir=str(tmp_path / name)) for name in "ab")
    for data in (first, second):
        data.setup()
    assert first.captions == second.captions
    assert all((first.pixels[row] == second.pixels[row]).all() for row in range(len(first.pixels)))
    assert first.fingerprint == second.fingerprint != Shapes(30, scene_seed=8).load_source().fingerprint


def test_captions_vary_and_scenes_do_not_repeat() -> None:
    source = Shapes(300).load_source()
    assert all(len(texts) == 5 for texts in source.captions)
    assert sum(len(set(texts)) for texts in source.captions) > 4.5 * 300
    words = {word for texts in source.captions for text in texts for word in text.split()}
    assert {"left", "above", "inside", "three", "huge", "purple", "hoop"} <= words


@pytest.mark.parametrize("count", [4, 100_001])
def test_number_of_scenes(count: int) -> None:
    with pytest.raises(ConfigError, match=r"data\.num_images"):
        Shapes(count)
