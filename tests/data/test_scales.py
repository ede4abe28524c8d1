"""Sizes of training pictures."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import pytest

from imtext.data.augment import Augment
from imtext.data.batch import BatchKey
from imtext.data.scales import ProgressiveScales, RandomScales
from imtext.errors import ConfigError
from imtext.train import train
from tests.conftest import Compose
from tests.data.shared import shapes
from tests.runs import INTERRUPT, QUICK, interrupt_at, same, weights, without_time


def keys(epochs: int = 4, batches: int = 50) -> list[BatchKey]:
    return [BatchKey(epoch, (batch, batch + 1, 7)) for epoch in range(epochs) for batch in range(batches)]


def test_random_sizes_are_equally_frequent() -> None:
    scales = RandomScales([32, 40, 48])
    counts = Counter(scales.size(key, seed=0) for key in keys(10, 60))
    assert set(counts) == {32, 40, 48}
    assert min(counts.values()) > 160  # 200 expected, standard deviation 11.5


def test_random_sizes_depend_on_seed_epoch_and_pictures() -> None:
    def drawn(seed: int, keys: list[BatchKey]) -> list[int]:
        return [RandomScales([32, 40, 48]).size(key, seed) for key in keys]

    assert drawn(0, keys()) == drawn(0, keys()) != drawn(1, keys())
    assert drawn(0, keys(1)) != drawn(0, keys(2)[50:])
    assert RandomScales([32, 40]).sizes_in([3]) == {32, 40}


@pytest.mark.parametrize(
    ("sizes", "epochs", "expected"),
    [
        ([32, 48], 4, [32, 32, 48, 48, 48, 48]),
        ([32, 40, 48], 5, [32, 40, 40, 48, 48, 48]),
        ([32, 40, 48], 2, [40, 48, 48, 48, 48, 48]),
        ([64], 3, [64] * 6),
    ],
)
def test_progressive_sizes(sizes: list[int], epochs: int, expected: list[int]) -> None:
    scales = ProgressiveScales(sizes, epochs)
    assert [scales.size(BatchKey(epoch, (0, 1)), seed=epoch) for epoch in range(6)] == expected
    assert scales.sizes_in(range(2, 4)) == set(expected[2:4])


@pytest.mark.parametrize("sizes", [[], [31, 48], [48, 32], [32, 32]])
def test_bad_sizes(sizes: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"data\.scales\.sizes.*ascending order, from 32"):
        RandomScales(sizes)
    with pytest.raises(ConfigError, match=r"data\.scales\.sizes"):
        ProgressiveScales(sizes, 3)


def test_bad_epochs() -> None:
    with pytest.raises(ConfigError, match=r"data\.scales\.epochs"):
        ProgressiveScales([32], 0)


def test_not_above_the_size_of_decoded_pictures(tmp_path: Path) -> None:
    RandomScales([32, 48]).check(48)
    with pytest.raises(ConfigError, match=r"\[32, 48\].*decoded at data\.image_size=32"):
        shapes(tmp_path, scales=RandomScales([32, 48]))
    assert not list(tmp_path.iterdir())  # nothing was decoded


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_the_pictures_of_a_batch_have_one_size(tmp_path: Path, workers: int) -> None:
    data = shapes(tmp_path, image_size=48, scales=RandomScales([32, 48]), augment=Augment(), num_workers=workers)
    loader = data.train_dataloader()
    expected = [RandomScales([32, 48]).size(key, seed=5) for key in loader.sampler]
    batches = list(loader)
    assert [batch["image"].shape for batch in batches] == [(8, 3, size, size) for size in expected]
    assert {batch["image"].shape[-1] for batch in data.val_dataloader()} == {48}  # evaluation is at full size
    assert len(set(expected)) == 2


def test_travels_to_workers() -> None:
    for scales in (RandomScales([32, 48]), ProgressiveScales([32, 48], 2)):
        again = pickle.loads(pickle.dumps(scales))
        assert [again.size(key, 1) for key in keys()] == [scales.size(key, 1) for key in keys()]


SIZES = ("data.image_size=48", "data.scales.sizes=[32,48]", "data.augment={_target_:imtext.data.augment.Augment}")
# Features are cached in the first epochs, with two views of each size.
WHOLE = "+stages.whole={_target_:imtext.training.stages.Stage,after_epochs:2}"
STAGES = ("stages=frozen", "stages.heads.views=4", WHOLE)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["random", "progressive"])
def test_interrupted_and_resumed_equals_straight(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    config = (*QUICK, f"data/scales={option}", *SIZES, *STAGES, "trainer.max_epochs=4", "optim.lr=1e-3")
    straight, objects = train(compose(*config, output="straight"))
    assert objects["datamodule"].scales.sizes == (32, 48)
    for epoch in (1, 2):
        interrupt_at(monkeypatch, epoch, batch=1)
        output = f"resumed{epoch}"
        with pytest.raises(RuntimeError, match="interrupted"):
            train(compose(*config, "data.num_workers=2", INTERRUPT, output=output))
        resumed, _ = train(compose(*config, "ckpt_path=last", output=output))
        assert without_time(resumed) == without_time(straight)
        assert same(weights(tmp_path / "runs" / output), weights(tmp_path / "runs/straight"))


def test_a_tower_of_one_size_is_refused(compose: Compose) -> None:
    tower = ("model/image_encoder=vit", "model.image_encoder.weights=null", "model.image_encoder.name=vit_b_32")
    others = [each for each in QUICK if "image_size" not in each]
    with pytest.raises(ConfigError, match=r"data\.scales.*pictures of 64 pixels only"):
        train(
            compose(
                *others, "data.image_size=64", *tower, "model.image_encoder.image_size=64",
                "data/scales=random", "data.scales.sizes=[32,64]",
            )
        )  # fmt: skip
