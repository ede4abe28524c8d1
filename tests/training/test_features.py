"""Cached image features: equal to computed ones, computed once, and never those of other weights or pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from imtext.data.augment import Augment
from imtext.data.batch import BatchKey
from imtext.data.scales import ProgressiveScales, RandomScales, Scales
from imtext.data.shapes import Shapes
from imtext.errors import ConfigError
from imtext.models import ImageEncoder, MobileNetV3Small
from imtext.models.timm_encoder import TimmEncoder
from imtext.training.features import FeaturesBySize, FrozenFeatures, cache_features
from imtext.training.stages import Plan, Stage

CPU = torch.device("cpu")


@pytest.fixture
def encoder() -> MobileNetV3Small:
    torch.manual_seed(0)
    return MobileNetV3Small(weights=None)


def shapes(folder: Path, num_images: int = 30, crop: float = 0.5) -> Shapes:
    data = Shapes(num_images, image_size=32, cache_dir=str(folder), augment=Augment((crop, 1.0)), batch_size=8)
    data.setup()
    return data


def cached(encoder: ImageEncoder, data: Shapes, blocks: int | str = 9, views: int = 3) -> FrozenFeatures:
    plan = Plan({"top": Stage(0, blocks, views)}, len(encoder.blocks), 2)  # type: ignore[arg-type]
    found = cache_features(encoder, plan, data, CPU, range(1))[0]
    assert isinstance(found, FrozenFeatures)
    return found


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("features-*.npy")}


@pytest.mark.parametrize("blocks", [1, 9, "all"])
@pytest.mark.parametrize("name", ["", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_same_as_computed_without_a_cache(tmp_path: Path, name: str, blocks: int | str) -> None:
    torch.manual_seed(0)
    encoder: ImageEncoder = TimmEncoder(name, None, image_size=32) if name else MobileNetV3Small(None)
    data = shapes(tmp_path)
    features, views = cached(encoder, data, blocks), 3
    plain, augmented = data.pictures(), data.pictures(data.augment)
    row, seen = data.rows["train"][4], set()
    encoder.eval()
    for number in range(20):
        choice = np.random.default_rng(number)
        view = int(np.random.default_rng(number).integers(views))
        seen.add(view)
        picture = (augmented if view else plain).batch([row], [np.random.default_rng([view, row])])
        with torch.no_grad():
            expected = encoder.lower(picture, features.first_block)
            found = features.batch([row], [choice])
            torch.testing.assert_close(found, expected, atol=2e-3, rtol=2e-3)  # half precision on disk
            whole = encoder(picture)
            torch.testing.assert_close(encoder(found, features.first_block), whole, atol=5e-3, rtol=5e-3)
    assert seen == {0, 1, 2}


def test_the_first_view_is_the_picture_without_augmentation(encoder: MobileNetV3Small, tmp_path: Path) -> None:
    data = shapes(tmp_path)
    first, rows = cached(encoder, data).first_view(), data.rows["train"][2:9]
    encoder.eval()
    with torch.no_grad():
        expected = encoder.lower(data.pictures().batch(rows, []), first.first_block)
    for number in range(5):
        found = first.batch(rows, [np.random.default_rng(number)] * len(rows))
        torch.testing.assert_close(found, expected, atol=2e-3, rtol=2e-3)  # half precision on disk


def test_training_batches_change_with_the_stage(encoder: MobileNetV3Small, tmp_path: Path) -> None:
    data = shapes(tmp_path)
    plan = Plan({"heads": Stage(0, "all", 2), "top": Stage(1, 9, 2), "whole": Stage(3)}, len(encoder.blocks), 2)
    data.features = cache_features(encoder, plan, data, CPU, range(4))
    dataset, positions = data.train_dataloader().dataset, (0, 1, 2)
    batches = [dataset[BatchKey(epoch, positions)] for epoch in range(4)]
    assert [batch["first_block"] for batch in batches] == [14, 9, 9, 0]
    assert [batch["image"].ndim for batch in batches] == [2, 4, 4, 4]
    assert batches[3]["image"].shape == (3, 3, 32, 32)
    assert all(batch["first_block"] == 0 for batch in data.val_dataloader())


def test_only_features_of_remaining_epochs_are_made(encoder: MobileNetV3Small, tmp_path: Path) -> None:
    data = shapes(tmp_path)
    plan = Plan({"heads": Stage(0, "all", 2), "top": Stage(1, 9, 2), "whole": Stage(3)}, len(encoder.blocks), 2)
    assert cache_features(encoder, plan, data, CPU, range(3, 9)) == {3: None}  # a resumed run
    assert not files(tmp_path)
    data.features = cache_features(encoder, plan, data, CPU, range(2, 4))
    assert list(data.features) == [1, 3]
    dataset = data.train_dataloader().dataset
    assert [dataset[BatchKey(epoch, (0, 1))]["first_block"] for epoch in (2, 3)] == [9, 0]


def test_without_augmentation_one_view_is_all(encoder: MobileNetV3Small, tmp_path: Path) -> None:
    data = Shapes(30, image_size=32, cache_dir=str(tmp_path), batch_size=8)
    data.setup()
    assert cached(encoder, data, "all", views=8).features.shape[0] == len(data.rows["train"])


def test_cached_weights_can_still_learn(encoder: MobileNetV3Small, tmp_path: Path) -> None:
    cached(encoder, shapes(tmp_path))
    assert not any(parameter.is_inference() for parameter in encoder.parameters())


def test_made_once_for_each_dependency(encoder: MobileNetV3Small, tmp_path: Path) -> None:
    cached(encoder, shapes(tmp_path))
    first = files(tmp_path)
    written = {name: (tmp_path / name).stat().st_mtime_ns for name in first}
    assert len(first) == 1
    cached(encoder, shapes(tmp_path))
    with torch.no_grad():  # a block above the frozen ones
        next(encoder.features[12].parameters()).add_(1)
    cached(encoder, shapes(tmp_path))
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in files(tmp_path)} == written
    cached(encoder, shapes(tmp_path, crop=0.8))
    cached(encoder, shapes(tmp_path, num_images=31))
    cached(encoder, shapes(tmp_path), views=2)
    with torch.no_grad():
        next(encoder.features[0].parameters()).add_(1)
    cached(encoder, shapes(tmp_path))
    assert len(files(tmp_path)) == 5  # the first, other crops, other pictures, other views, other weights


def test_the_network_is_left_as_it_was(encoder: MobileNetV3Small, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.train()
    cached(encoder, shapes(tmp_path))
    assert encoder.training
    assert all(value.equal(before[name]) for name, value in encoder.state_dict().items())


def test_other_surroundings_are_another_file(encoder: MobileNetV3Small, tmp_path: Path) -> None:
    cached(encoder, shapes(tmp_path))
    encoder.features[0][2] = torch.nn.ReLU()  # without weights
    cached(encoder, shapes(tmp_path))
    assert len(files(tmp_path)) == 2


def scaled(folder: Path, scales: Scales | None, augmented: bool = True) -> Shapes:
    augment = Augment((0.5, 1.0)) if augmented else None
    data = Shapes(30, image_size=48, cache_dir=str(folder), augment=augment, batch_size=8, scales=scales)
    data.setup()
    return data


def by_size(
    encoder: ImageEncoder, data: Shapes, views: int, plan: Plan | None = None, first: int = 0
) -> FeaturesBySize:
    plan = plan or Plan({"top": Stage(0, 9, views)}, len(encoder.blocks), 2)
    found = cache_features(encoder, plan, data, CPU, range(first, 4))[0]
    assert isinstance(found, FeaturesBySize)
    return found


def test_each_view_has_one_size(encoder: MobileNetV3Small, tmp_path: Path) -> None:
    """Of five views at two sizes, the views 0, 2 and 4 have the first size, and 1 and 3 the second."""
    data = scaled(tmp_path, RandomScales([32, 48]))
    features = by_size(encoder, data, views=5)
    assert (features.sizes[32].views, features.sizes[48].views) == (3, 2)
    row = data.rows["train"][4]
    encoder.eval()
    for size, views in ((32, (0, 2, 4)), (48, (1, 3))):
        seen = set()
        for number in range(12):
            drawn = int(np.random.default_rng(number).integers(len(views)))
            view = views[drawn]
            seen.add(view)
            source = data.pictures(data.augment if view else None)
            with torch.no_grad():
                expected = encoder.lower(source.batch([row], [np.random.default_rng([view, row])], size), 9)
            found = features.batch([row], [np.random.default_rng(number)], size)
            torch.testing.assert_close(found, expected, atol=2e-3, rtol=2e-3)
        assert seen == set(views)


def test_batches_of_cached_features_have_one_size(encoder: MobileNetV3Small, tmp_path: Path) -> None:
    data = scaled(tmp_path, ProgressiveScales([32, 48], 4))
    data.features = {0: by_size(encoder, data, views=2)}
    dataset = data.train_dataloader().dataset
    found = [dataset[BatchKey(epoch, (0, 1, 2))]["image"].shape[-1] for epoch in range(4)]
    assert found == [2, 2, 3, 3]  # after 9 blocks: 32 and 48 pixels, divided by 16


def test_files_of_sizes(encoder: MobileNetV3Small, tmp_path: Path) -> None:
    cached(encoder, scaled(tmp_path, None), 9, views=2)
    plain = files(tmp_path)
    by_size(encoder, scaled(tmp_path, RandomScales([32, 48])), views=4)
    sizes = files(tmp_path)
    assert (len(plain), len(sizes)) == (1, 3)
    # The same views of the same sizes are the same files; other views are others.
    by_size(encoder, scaled(tmp_path, ProgressiveScales([32, 48], 4)), views=4)
    assert files(tmp_path) == sizes
    by_size(encoder, scaled(tmp_path, RandomScales([32, 40, 48])), views=6)
    assert len(files(tmp_path)) == 6


def test_only_sizes_of_remaining_epochs_are_made(encoder: MobileNetV3Small, tmp_path: Path) -> None:
    data = scaled(tmp_path, ProgressiveScales([32, 48], 4))
    resumed = by_size(encoder, data, views=4, first=2)
    assert set(resumed.sizes) == {48}
    made = files(tmp_path)
    straight = by_size(encoder, data, views=4)
    assert made < files(tmp_path)
    choice = [np.random.default_rng(1)]
    row = data.rows["train"][:1]
    assert straight.batch(row, choice, 48).equal(resumed.batch(row, [np.random.default_rng(1)], 48))
    # A stage makes the sizes of its own epochs.
    plan = Plan({"top": Stage(0, 9, 4), "whole": Stage(2)}, len(encoder.blocks), 2)
    assert set(by_size(encoder, data, 4, plan).sizes) == {32}


def test_every_size_needs_a_view(encoder: MobileNetV3Small, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"views=2.*3 sizes.*views=3"):
        by_size(encoder, scaled(tmp_path, RandomScales([32, 40, 48])), views=2)
    features = by_size(encoder, scaled(tmp_path, RandomScales([32, 40, 48]), augmented=False), views=2)
    assert [each.views for each in features.sizes.values()] == [1, 1, 1]  # all views of a size would be the same
