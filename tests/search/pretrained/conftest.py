"""Exported models, made once and never changed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from imtext.preprocess import Preprocess
from tests.exported import SIZE, Exported, make_siglip, make_transformers_js


@pytest.fixture(scope="session")
def transformers_js(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return make_transformers_js(tmp_path_factory.mktemp("transformers-js") / "clip")


@pytest.fixture(scope="session")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return make_siglip(tmp_path_factory.mktemp("siglip") / "siglip")


@pytest.fixture
def pixels() -> list[npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8))


def normalized(pixels: list[npt.NDArray[np.uint8]], preprocess: Preprocess) -> Tensor:
    """What a tower of torch expects."""
    scaled = torch.tensor(np.stack(pixels)).float() / 255
    return ((scaled - torch.tensor(preprocess.image_mean)) / torch.tensor(preprocess.image_std)).permute(0, 3, 1, 2)
