"""Cached text features: equal to computed ones, computed once, and never those of other weights or captions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from imtext.data.batch import BatchKey
from imtext.data.shapes import Shapes
from imtext.losses import InfoNCE, total_loss
from imtext.models import DualEncoder, LSTMEncoder, TextEncoder
from imtext.train import train
from imtext.training.stages import Plan, Stage
from imtext.training.text_features import FrozenTextFeatures, cache_text_features
from tests.conftest import TINY_SHAPES, Compose
from tests.losses.pairs import belonging
from tests.models.towers import BagOfWords, PatchEncoder

CPU = torch.device("cpu")
FROZEN = Stage(0, frozen_text_blocks="all", cache_text=True)


@pytest.fixture
def data(tmp_path: Path) -> Shapes:
    return shapes(tmp_path)


def shapes(folder: Path, num_images: int = 30) -> Shapes:
    data = Shapes(num_images, image_size=32, batch_size=8, cache_dir=str(folder))
    data.setup()
    return data


def lstm(data: Shapes, **options: object) -> LSTMEncoder:
    torch.manual_seed(0)
    vocabulary = data.tokenizer.vocabulary
    return LSTMEncoder(**{"word_dim": 8, "hidden_dim": 6, "word_dropout": 0.2, **options}, vocabulary=vocabulary)  # type: ignore[arg-type]


def cached(encoder: TextEncoder, data: Shapes) -> FrozenTextFeatures:
    plan = Plan({"heads": FROZEN}, 2, len(encoder.blocks))
    found = cache_text_features(encoder, plan, data, CPU, range(1))[0]
    assert isinstance(found, FrozenTextFeatures)
    return found


def files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("text-features-*.npy")}


@pytest.mark.parametrize("tower", ["lstm", "bag_of_words"])
def test_same_as_computed(data: Shapes, tower: str) -> None:
    encoder = lstm(data) if tower == "lstm" else BagOfWords(vocabulary=data.tokenizer.vocabulary)
    features = cached(encoder, data)
    rows = data.rows["train"]
    chosen = [(rows[3], 0), (rows[0], 1), (rows[-1], len(data.captions[rows[-1]]) - 1), (rows[3], 2)]
    ids, mask = (torch.as_tensor(each) for each in data.tokenizer([data.captions[row][n] for row, n in chosen]))
    with torch.no_grad():
        expected = encoder.eval()(ids, mask)
    found = features.batch(chosen)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)  # half precision on disk


def test_training_steps_on_cached_features_are_those_on_captions(data: Shapes) -> None:
    """Loss and gradients; the frozen tower has no dropout, that of the projection is the same."""
    encoder = lstm(data, dropout=0.5)
    model = DualEncoder(PatchEncoder(dropout=0), encoder, embed_dim=8)
    features = cached(encoder, data)
    encoder.freeze(len(encoder.blocks))
    batch = next(iter(data.train_dataloader()))
    numbers = [
        (row, data.captions[row].index(caption)) for row in batch["image_id"].tolist() for caption in data.captions[row]
    ]
    ids, mask = (torch.as_tensor(each) for each in data.tokenizer([data.captions[row][n] for row, n in numbers]))
    owners = torch.tensor([row for row, _ in numbers])

    def step(cache: bool) -> tuple[float, torch.Tensor]:
        model.train().zero_grad()
        torch.manual_seed(0)
        images = model.encode_image(batch["image"])
        texts = model.encode_text_features(features.batch(numbers)) if cache else model.encode_text(ids, mask)
        loss = total_loss(InfoNCE()(images, texts, belonging(batch["image_id"], owners), model.logit_scale))
        loss.backward()  # type: ignore[no-untyped-call]
        gradient = model.text_projection[1].weight.grad  # type: ignore[index]
        assert gradient is not None
        assert all(parameter.grad is None for parameter in encoder.parameters())
        return float(loss.detach()), gradient.clone()

    (loss, gradient), (expected, wanted) = step(cache=True), step(cache=False)
    assert loss == pytest.approx(expected, abs=1e-3)
    torch.testing.assert_close(gradient, wanted, atol=1e-3, rtol=1e-2)


def test_computed_once_for_what_they_depend_on(data: Shapes, tmp_path: Path) -> None:
    cached(lstm(data), data)
    first = files(tmp_path)
    assert len(first) == 1
    cached(lstm(data), shapes(tmp_path))
    assert files(tmp_path) == first
    cached(lstm(data, pooling="mean"), data)  # the same weights
    other = lstm(data)
    with torch.no_grad():
        other.word_embedding.weight[5] += 1
    cached(other, data)
    more = shapes(tmp_path, num_images=31)
    cached(lstm(more), more)
    assert len(files(tmp_path)) == 4  # the first, other pooling, other weights, other captions


def test_only_stages_ahead_are_computed(data: Shapes, tmp_path: Path) -> None:
    encoder = lstm(data)
    plan = Plan({"heads": FROZEN, "whole": Stage(2)}, 2, len(encoder.blocks))
    assert cache_text_features(encoder, plan, data, CPU, range(2, 4)) == {2: None}
    assert not files(tmp_path)
    found = cache_text_features(encoder, plan, data, CPU, range(1, 4))
    assert list(found) == [0, 2]
    assert found[2] is None


def test_the_tower_is_not_changed(data: Shapes) -> None:
    encoder = lstm(data).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    cached(encoder, data)
    assert encoder.training
    assert all(value.equal(before[name]) for name, value in encoder.state_dict().items())
    assert not any(parameter.is_inference() for parameter in encoder.parameters())


def test_batches_change_with_the_stage(data: Shapes) -> None:
    encoder = lstm(data)
    plan = Plan({"heads": FROZEN, "whole": Stage(2)}, 2, len(encoder.blocks))
    data.text_features = cache_text_features(encoder, plan, data, CPU, range(3))
    dataset = data.train_dataloader().dataset
    batches = [dataset[BatchKey(epoch, (0, 1, 2))] for epoch in range(3)]
    assert ["text_features" in batch for batch in batches] == [True, True, False]
    assert batches[0]["text_features"].shape == (len(batches[0]["caption_image_id"]), encoder.num_features)
    assert "text_features" not in next(iter(data.val_dataloader()))


@pytest.mark.slow
def test_a_run_on_cached_features_has_the_figures_of_one_without(compose: Compose, tmp_path: Path) -> None:
    run = [
        *TINY_SHAPES, "logger=none", "callbacks.examples=null", "baseline=false", "trainer.max_epochs=1",
        "stages.whole.frozen_blocks=all", "stages.whole.frozen_text_blocks=all", "data.captions_per_image=2",
        "model.text_encoder.word_dropout=0.2",
    ]  # fmt: skip
    computed, _ = train(compose(*run, output="computed"))
    assert not files(tmp_path / "cache")
    cached, _ = train(compose(*run, "stages.whole.cache_text=true", "data.num_workers=2", output="cached"))
    assert len(files(tmp_path / "cache")) == 1
    for name in ("train/loss_epoch", "val/loss", "train/text_spread", "test/positive_similarity"):
        assert cached[name] == pytest.approx(computed[name], abs=2e-3)
