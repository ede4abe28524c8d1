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


def test_smaller_pictures_are_means_of_larger_ones(tmp_path: Path) -> None:
    data = shapes(tmp_path, image_size=64)
    full = data.pictures().batch([0, 1], [])
    assert data.pictures().batch([0, 1], [], 64).equal(full)
    half = data.pictures().batch([0, 1], [], 32)
    assert half.shape == (2, 3, 32, 32)
    # Antialiased: the mean brightness stays, and a pixel is about the mean of those that it covers.
    means = torch.nn.functional.avg_pool2d(full, 2)
    assert (half - means).abs().mean() < 0.05
    aliased = torch.nn.functional.interpolate(full, size=(32, 32), mode="nearest")
    assert (half - means).abs().mean() < (aliased - means).abs().mean() / 2
    augmented = data.pictures(Augment()).batch([0, 1], [np.random.default_rng(n) for n in (0, 1)], 40)
    assert augmented.shape == (2, 3, 40, 40)


def test_random_changes_follow_the_generator_of_each_picture(tmp_path: Path) -> None:
    data = shapes(tmp_path)
    pictures = data.pictures(Augment(crop_scale=(0.3, 0.9)))
    pair = pictures.batch([3, 3], [np.random.default_rng(0), np.random.default_rng(1)])
    assert not pair[0].equal(pair[1])
    assert pictures.batch([3], [np.random.default_rng(1)])[0].equal(pair[1])
