"""Pictures as model input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from imtext.data.augment import Augment
from imtext.data.pictures import normalize
from imtext.preprocess import Preprocess
from tests.data.shared import shapes


def test_normalisation() -> None:
    preprocess = Preprocess(32, (0.1, 0.2, 0.3), (0.5, 1, 2))
    image = torch.full((1, 3, 2, 2), 51, dtype=torch.uint8)
    torch.testing.assert_close(normalize(image, preprocess)[0, :, 0, 0], torch.tensor([0.2, 0.0, -0.05]))


def test_evaluation_is_not_augmented(tmp_path: Path) -> None:
    data = shapes(tmp_path, augment=Augment())
    batch = next(iter(data.val_dataloader()))
    row = int(batch["image_id"][0])
    mean, std = np.array(data.preprocess.image_mean), np.array(data.preprocess.image_std)
    expected = (data.pixels[row] / 255 - mean) / std
    np.testing.assert_allclose(batch["image"][0].permute(1, 2, 0).numpy(), expected, atol=1e-5)


def test_random_changes_follow_the_generator_of_each_picture(tmp_path: Path) -> None:
    data = shapes(tmp_path)
    pictures = data.pictures(Augment(crop_scale=(0.3, 0.9)))
    pair = pictures.batch([3, 3], [np.random.default_rng(0), np.random.default_rng(1)])
    assert not pair[0].equal(pair[1])
    assert pictures.batch([3], [np.random.default_rng(1)])[0].equal(pair[1])
