"""Random changes to training pictures."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from imtext.data.augment import Augment
from imtext.errors import ConfigError

IMAGE = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8))


def changed(augment: Augment, seed: int = 0, image: torch.Tensor = IMAGE) -> torch.Tensor:
    return augment(image, np.random.default_rng(seed))


def test_keeps_size_and_type_of_any_picture() -> None:
    augment = Augment(color=0.3)
    for height, width in ((48, 48), (32, 32), (40, 56)):
        image = torch.zeros(3, height, width, dtype=torch.uint8)
        assert changed(augment, image=image).shape == image.shape
        assert changed(augment, image=image).dtype == torch.uint8


def test_same_draws_as_torchvision() -> None:
    """Runs are reproducible only if the order of random choices does not change."""
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(48, scale=(0.6, 1.0), ratio=(3 / 4, 4 / 3), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.4, 0.4, 0.4),
        ]
    )
    for seed in range(5):
        torch.manual_seed(int(np.random.default_rng(seed).integers(2**63)))
        assert changed(Augment(color=0.4), seed).equal(transform(IMAGE))


def test_a_crop_is_resampled_straight_to_the_size_that_is_asked_for() -> None:
    augment = Augment(color=0.4)
    for size in (32, 40, 48, 64):
        torch.manual_seed(int(np.random.default_rng(3).integers(2**63)))
        expected = v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=(0.6, 1.0), ratio=(3 / 4, 4 / 3), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(0.4, 0.4, 0.4),
            ]
        )(IMAGE)
        assert augment(IMAGE, np.random.default_rng(3), size).equal(expected)
    assert augment(IMAGE, np.random.default_rng(3)).equal(augment(IMAGE, np.random.default_rng(3), 48))


def test_without_a_crop_the_picture_is_resized() -> None:
    whole = Augment((1, 1), flip=False)
    expected = v2.functional.resize(IMAGE, [32, 32], antialias=True)
    assert whole(IMAGE, np.random.default_rng(0), 32).equal(expected)
    assert whole(IMAGE, np.random.default_rng(0), 48) is IMAGE
    flipped = {bool(Augment((1, 1))(IMAGE, np.random.default_rng(seed), 32).equal(expected)) for seed in range(8)}
    assert flipped == {True, False}


def test_depends_on_the_given_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    assert changed(Augment()).equal(changed(Augment()))
    assert not changed(Augment(), 1).equal(changed(Augment(), 2))
    assert torch.rand(1).equal(expected)


def test_nothing_to_do() -> None:
    assert changed(Augment(crop_scale=(1, 1), flip=False)) is IMAGE


def test_flip_alone() -> None:
    seen = {bool(changed(Augment((1, 1)), seed).equal(IMAGE)) for seed in range(8)}
    assert seen == {True, False}
    assert all(
        changed(Augment((1, 1)), seed).equal(IMAGE) or changed(Augment((1, 1)), seed).equal(IMAGE.flip(-1))
        for seed in range(8)
    )


def test_repr_tells_every_setting() -> None:
    variants = [Augment(), Augment((0.5, 1)), Augment((0.6, 0.9)), Augment(flip=False), Augment(color=0.1)]
    assert len({repr(augment) for augment in variants}) == 5
    assert repr(Augment()) == repr(Augment([0.6, 1], True, 0))
    used = Augment()
    changed(used)
    assert repr(used) == repr(Augment())  # a transform built for a size is not a setting


def test_travels_to_workers() -> None:
    used = Augment()
    expected = changed(used)
    assert changed(pickle.loads(pickle.dumps(used))).equal(expected)


@pytest.mark.parametrize("crop_scale", [(0, 1), (0.8, 0.5), (0.5, 1.5)])
def test_bad_values(crop_scale: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"data\.augment\.crop_scale"):
        Augment(crop_scale)
