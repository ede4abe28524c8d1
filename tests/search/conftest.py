"""A bundle to search with, and pictures to search in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from imtext.checkpoints import TrainedModel
from imtext.config import instantiate
from imtext.data import RetrievalDataModule
from imtext.data.shapes import draw, random_scene
from imtext.export import export
from imtext.launch import compose_config
from imtext.search import Bundle, Encoder
from tests.conftest import TINY_SHAPES


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedModel, RetrievalDataModule]:
    """A tiny model with random weights and its data; 30 pictures of validation."""
    root = tmp_path_factory.mktemp("untrained")
    paths = [f"paths.root={root}", f"paths.cache_dir={root}/cache", f"paths.output_dir={root}/run"]
    config = compose_config("train", [*TINY_SHAPES, "data.ratios=[0.25,0.75,0]", *paths])
    data = instantiate(config.data)
    data.setup()
    config.model.text_encoder.vocab_size = data.tokenizer.vocab_size
    config.model.mirror = True
    torch.manual_seed(0)
    model = instantiate(config.model)
    pictures = data.pictures().batch(range(40), [])
    for _ in range(30):  # batch statistics that fit; with torch's own all pictures look alike
        model.encode_image(pictures)
    return TrainedModel(model.eval(), data.tokenizer, data.preprocess, {}), data


@pytest.fixture(scope="session")
def bundle(untrained: tuple[TrainedModel, RetrievalDataModule], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Its bundle; tests that damage it make a copy."""
    trained, data = untrained
    return export(trained, data, tmp_path_factory.mktemp("bundle") / "bundle", {"val/t2i_r@10": 0.5}, {"note": "tiny"})


@pytest.fixture(scope="session")
def encoder(bundle: Bundle) -> Encoder:
    return Encoder(bundle, threads=1)


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """Twelve different drawings, some in a folder of their own."""
    folder = tmp_path / "gallery"
    (folder / "more").mkdir(parents=True)
    for number in range(12):
        picture(folder / ("more" if number > 8 else "") / f"{number:02}.png", number)
    return folder


def picture(path: Path, seed: int) -> Path:
    """Draw the picture with this number."""
    rng = np.random.default_rng(seed)
    draw(random_scene(rng), rng).save(path)
    return path
