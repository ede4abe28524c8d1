"""Shared fixtures: tiny data, composed configurations, an MLflow database, a bundle."""

from __future__ import annotations

import csv
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from imtext.config.compose import compose_config
from imtext.config.instantiate import instantiate
from imtext.data import RetrievalDataModule
from imtext.data.scenes import describe, draw, random_scene
from imtext.export import export
from imtext.models.cross_attention import CrossAttention
from imtext.search import Bundle, Encoder
from imtext.search.bundle import write_bundle
from imtext.training.build import ModelBuilder
from imtext.training.checkpoints import TrainedModel
from tests.exported import Exported, make_immich
from tests.hub import Hub, standing_in

# Optional real photos and ImageNet weights: a folder in the layout of jxie/flickr8k, and a state dict.
FLICKR8K = os.environ.get("IMTEXT_FLICKR8K")
WEIGHTS = os.environ.get("IMTEXT_WEIGHTS")

THREADS = 1 if "PYTEST_XDIST_WORKER" in os.environ else 2  # more threads than cores make small models slower

# A model that trains in seconds: 32-pixel pictures, small text tower, random weights.
TINY = [
    "model.image_encoder.weights=null",
    "model.embed_dim=32",
    "model.text_encoder.word_dim=16",
    "model.text_encoder.hidden_dim=24",
    "trainer=cpu",
    "callbacks.progress=null",
    "bundle=false",
]
TINY_SHAPES = ["data=shapes", "data.num_images=40", "data.image_size=32", "data.batch_size=8", *TINY]

Compose = Callable[..., DictConfig]


@pytest.fixture(autouse=True)
def by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Separate the databases of tests: MLflow keeps the address in the environment."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)
    torch.set_num_threads(THREADS)
    torch.set_flush_denormal(False)  # trainings leave it on


@pytest.fixture
def compose(tmp_path: Path) -> Compose:
    """Compose `conf/<name>.yaml` with all paths below the test's folder."""

    def run(*overrides: str, name: str = "train", output: str = "run") -> DictConfig:
        paths = [
            f"paths.root={tmp_path}",
            f"paths.cache_dir={tmp_path / 'cache'}",
            f"paths.output_dir={tmp_path / 'runs' / output}",
        ]
        return compose_config(name, [*overrides, *paths])

    return run


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn pictures of different sizes in `Images/`, and `captions.txt` with two captions of each."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "Images").mkdir()
    rng = np.random.default_rng(0)
    with (folder / "captions.txt").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption"])
        for number in range(12):
            scene = random_scene(rng)
            draw(scene, rng).resize((90 + number, 60)).save(folder / "Images" / f"{number}.jpg")
            for caption in describe(scene, rng)[:2]:
                writer.writerow([f"{number}.jpg", caption])
    return folder


@pytest.fixture
def folder(pictures: Path, tmp_path: Path) -> Path:
    """A copy of `pictures` that a test may damage."""
    return shutil.copytree(pictures, tmp_path / "pictures")


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database, created once, because creation takes seconds and copying does not."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def database(migrated_database: Path, tmp_path: Path) -> str:
    """URI of a ready database where `compose` expects it."""
    (tmp_path / "runs").mkdir(exist_ok=True)
    shutil.copy(migrated_database, tmp_path / "runs" / "mlflow.db")
    return f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedModel, RetrievalDataModule]:
    """A tiny model with random weights and its data, with 30 validation pictures."""
    root = tmp_path_factory.mktemp("untrained")
    paths = [f"paths.root={root}", f"paths.cache_dir={root}/cache", f"paths.output_dir={root}/run"]
    config = compose_config("train", [*TINY_SHAPES, "data.ratios=[0.25,0.75,0]", *paths])
    data = instantiate(config.data)
    data.setup()
    config.model.mirror = True
    torch.manual_seed(0)
    model = ModelBuilder(config.model).finish(data.tokenizer.vocabulary)
    pictures = data.pictures().batch(range(40), [])
    for _ in range(30):  # realistic batch statistics; with the initial ones all pictures have the same embedding
        model.encode_image(pictures)
    return TrainedModel(model.eval(), data.tokenizer, data.preprocess, {}), data


@pytest.fixture(scope="session")
def bundle(untrained: tuple[TrainedModel, RetrievalDataModule], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of the tiny model; tests that damage it make a copy."""
    trained, data = untrained
    return export(trained, data, tmp_path_factory.mktemp("bundle") / "bundle", {"val/t2i_r@10": 0.5}, {"note": "tiny"})


@pytest.fixture(scope="session")
def reranked(
    untrained: tuple[TrainedModel, RetrievalDataModule], tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainedModel, Bundle]:
    """The tiny model with a re-ranker of random weights, which changes every order, and their bundle."""
    trained, data = untrained
    torch.manual_seed(0)
    width = trained.model.image_encoder.num_token_features
    reranker = CrossAttention(dim=16, word_dim=8, num_token_features=width, vocabulary=data.tokenizer.vocabulary)
    with torch.no_grad():
        for weights in reranker.parameters():
            weights.normal_(std=0.4)
        # An untrained tower sees almost the same in all pictures. Without what they share, differences are well above
        # the rounding of stored grids.
        tokens = trained.model.image_encoder.tokens(data.pictures().batch(data.rows["val"], []))
        norm, _, linear = reranker.places
        linear.bias = torch.nn.Parameter(-(norm(tokens) @ linear.weight.T).mean(dim=(0, 1)))
    both = replace(trained, reranker=reranker.eval())
    return both, export(both, data, tmp_path_factory.mktemp("reranked") / "bundle", {}, {})


def changed_bundle(bundle: Bundle, folder: Path, graphs: Mapping[str, bytes] | None = None, **facts: Any) -> Bundle:
    """Write a bundle into `folder` that differs from another one in some graphs or entries of the manifest."""
    same = {name: bundle.read(file) for name, file in bundle.graphs.items()}
    return write_bundle(folder, {**same, **(graphs or {})}, Encoder(bundle).tokenizer, {**bundle.manifest, **facts})


@pytest.fixture(scope="session")
def encoder(bundle: Bundle) -> Encoder:
    return Encoder(bundle, threads=1)


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """Twelve different drawings, some in a subfolder."""
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


@pytest.fixture(scope="session")
def immich(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A tiny CLIP model in the layout of immich-app; tests that damage it make a copy."""
    return make_immich(tmp_path_factory.mktemp("immich") / "ViT-Tiny__random")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A stand-in for the Hugging Face hub, and a data folder of the user for what is downloaded from it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with standing_in(monkeypatch, str(tmp_path / "cache")) as hub:
        yield hub
