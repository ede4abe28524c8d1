"""Mining: neighbours by hand and by an independent formula, guards, and what embedding must leave alone."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from imtext.data.augment import Augment
from imtext.data.batch import BatchKey
from imtext.data.order import Neighbours
from imtext.data.shapes import Shapes
from imtext.data.shared_texts import find_shared_texts
from imtext.losses import InfoNCE
from imtext.models import BagOfWords, DualEncoder, MobileNetV3Small
from imtext.training import mining
from imtext.training.features import cache_features
from imtext.training.mining import embed_training, find_neighbours, mine
from imtext.training.module import RetrievalModule
from imtext.training.optim import AdamW
from imtext.training.stages import Plan, Stage
from imtext.training.text_features import cache_text_features

# Scores of the captions of a picture (row) and a picture (column). With a unit matrix as pictures, texts are scores.
SCORES = torch.tensor(
    [
        [0.80, 0.70, 0.10, 0.79, 0.30],
        [0.20, 0.50, 0.40, 0.10, 0.45],
        [0.90, 0.10, 0.50, 0.20, 0.60],
        [0.10, 0.30, 0.20, 0.60, 0.55],
        [0.40, 0.30, 0.20, 0.10, 0.60],
    ]
)
NOTHING = torch.empty(5, 0, dtype=torch.int64)


def neighbours(shared: Tensor = NOTHING, **settings: Any) -> list[list[int]]:
    order = Neighbours(**{"group_size": 2, "num_neighbours": 2, "max_ratio": 1.0, **settings})
    found: list[list[int]] = find_neighbours(torch.eye(5), SCORES, shared, order).neighbours.tolist()
    return found


class TestNeighbours:
    def test_the_nearest_that_score_no_more_than_the_picture(self) -> None:
        assert neighbours() == [[3, 1], [4, 2], [3, 1], [4, 1], [0, 1]]  # row 2: 0.9 and 0.6 are above 0.5

    def test_candidates_near_the_score_of_the_picture_are_probably_false(self) -> None:
        found = neighbours(max_ratio=0.9)  # limits: 0.72, 0.45, 0.45, 0.54, 0.54
        assert found == [[1, 4], [4, 2], [3, 1], [1, 2], [0, 1]]
        assert neighbours(max_ratio=0.2)[0] == [2, -1]  # below 0.16
        assert neighbours(max_ratio=0.1)[0] == [-1, -1]

    def test_the_nearest_are_skipped_after_the_other_guards(self) -> None:
        assert neighbours(max_ratio=0.9, skip=1) == [[4, 2], [2, 0], [1, -1], [2, 0], [1, 2]]

    def test_pictures_that_share_a_text_are_no_neighbours(self) -> None:
        shared = torch.tensor([[0, -2], [1, 0], [-2, -2], [1, 2], [2, -2]])  # 0 and 1, 1 and 3, 3 and 4
        assert neighbours(shared) == [[3, 4], [4, 2], [3, 1], [2, 0], [0, 1]]

    def test_blocks_change_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        images, texts, shared = random_pictures()
        order = Neighbours(num_neighbours=6, max_ratio=0.8, skip=2)
        whole = find_neighbours(images, texts, shared, order)
        monkeypatch.setattr(mining, "BLOCK", 7 * len(images))
        parts = find_neighbours(images, texts, shared, order)
        assert parts.neighbours.equal(whole.neighbours)
        for name in ("positive", "mined", "random", "shared", "too_near", "alone"):
            assert getattr(parts, name) == pytest.approx(getattr(whole, name))

    def test_equal_to_a_plain_search(self) -> None:
        images, texts, shared = random_pictures()
        order = Neighbours(num_neighbours=6, max_ratio=0.8, skip=2)
        found = find_neighbours(images, texts, shared, order)
        scores, close, same, nearest, mined = (texts @ images.T).tolist(), 0, 0, 0, []
        for own, row in enumerate(scores):
            ranked = sorted((other for other in range(len(row)) if other != own), key=lambda other: -row[other])
            texts_of = [{text for text in each if text >= 0} for each in shared.tolist()]
            equal = {other for other in ranked if texts_of[own] & texts_of[other]}
            high = {other for other in ranked if row[other] > 0.8 * row[own]}
            same += sum(other in equal for other in ranked[:8])
            close += sum(other in high - equal for other in ranked[:8])
            nearest += 8
            kept = [other for other in ranked if other not in equal | high][2:8]
            assert found.neighbours[own].tolist() == kept + [-1] * (6 - len(kept))
            mined += [row[other] for other in kept]
        assert found.shared == same / nearest > 0
        assert found.too_near == close / nearest > 0
        assert found.mined == pytest.approx(np.mean(mined))
        assert found.positive == pytest.approx(np.mean([row[own] for own, row in enumerate(scores)]))
        others = [score for own, row in enumerate(scores) for other, score in enumerate(row) if other != own]
        assert found.random == pytest.approx(np.mean(others))
        assert found.alone == np.mean((found.neighbours[:, 0] < 0).numpy())


def random_pictures() -> tuple[Tensor, Tensor, Tensor]:
    """Forty pictures with their captions near them, of which many share texts."""
    generator = torch.Generator().manual_seed(0)
    images, noise = torch.nn.functional.normalize(torch.randn(2, 40, 4, generator=generator), dim=-1)
    return images, 0.6 * images + 0.4 * noise, torch.randint(-2, 15, (40, 3), generator=generator)


@pytest.fixture
def data(tmp_path: Path) -> Shapes:
    data = Shapes(60, image_size=32, cache_dir=str(tmp_path), augment=Augment((0.5, 1.0)), batch_size=8)
    data.setup()
    return data


@pytest.fixture
def module(data: Shapes) -> RetrievalModule:
    torch.manual_seed(0)
    image_encoder = MobileNetV3Small(weights=None)
    text_encoder = BagOfWords(word_dim=8, vocabulary=data.tokenizer.vocabulary)
    model = DualEncoder(image_encoder, text_encoder, embed_dim=16, dropout=0.5, mirror=True)
    stage = Stage(0, 9, 3, frozen_text_blocks="all", cache_text=True)
    plan = Plan({"top": stage}, len(image_encoder.blocks), len(text_encoder.blocks))
    for _ in range(20):  # realistic batch statistics
        model.encode_image(data.pictures().batch(range(40), []))
    module = RetrievalModule(model, InfoNCE(), AdamW(), data.tokenizer, data.preprocess, plan)
    module.train()
    model.image_encoder.freeze(9)
    return module


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path)


class TestEmbedding:
    def test_equal_to_the_batches_of_the_split(self, data: Shapes, module: RetrievalModule, trainer: Trainer) -> None:
        images, texts = embed_training(trainer, module, data, epoch=0)
        module.eval()
        module.model.mirror = False
        dataset = data.dataset("train")
        for position in (0, 17, len(dataset) - 1):
            with torch.no_grad():
                image, captions = module.embed(dataset[BatchKey(0, (position,))])
            torch.testing.assert_close(images[position], image[0])
            torch.testing.assert_close(texts[position], captions.mean(dim=0))

    def test_cached_features_give_the_same(self, data: Shapes, module: RetrievalModule, trainer: Trainer) -> None:
        images, texts = embed_training(trainer, module, data, epoch=0)
        model, device = module.model, torch.device("cpu")
        data.features = cache_features(model.image_encoder, module.plan, data, device, range(1))
        data.text_features = cache_text_features(model.text_encoder, module.plan, data, device, range(1))
        data.pictures = None  # type: ignore[assignment]  # not needed any more
        cached_images, cached_texts = embed_training(trainer, module, data, epoch=0)
        torch.testing.assert_close(cached_images, images, atol=5e-3, rtol=5e-3)  # half precision on disk
        torch.testing.assert_close(cached_texts, texts, atol=5e-3, rtol=5e-3)

    def test_random_state_and_modes_stay(self, data: Shapes, module: RetrievalModule, trainer: Trainer) -> None:
        def state() -> list[Any]:
            modes = [part.training for part in module.modules()]
            numbers = [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]
            return [modes, module.model.mirror, torch.is_grad_enabled(), numbers]

        before, weights = state(), {name: value.clone() for name, value in module.state_dict().items()}
        assert True in before[0]
        assert False in before[0]
        mine(trainer, module, data, Neighbours(num_neighbours=3), epoch=0)
        assert state() == before
        assert all(value.equal(weights[name]) for name, value in module.state_dict().items())


def test_no_mined_neighbour_shares_a_text(data: Shapes, module: RetrievalModule, trainer: Trainer) -> None:
    rows = data.rows["train"]
    for number, row in enumerate(rows):  # every third picture has the same caption, told in different ways
        if number % 3 == 0:
            data.captions[row] = [*data.captions[row], ("A shape.", "a shape", "a  Shape!")[number % 9 // 3]]
    data.shared_texts = find_shared_texts(data.captions, rows)
    mined = mine(trainer, module, data, Neighbours(num_neighbours=20, max_ratio=1.0), epoch=0)
    together = {(own, int(other)) for own, row in enumerate(mined) for other in row if other >= 0}
    assert len(together) > 100
    assert not [pair for pair in together if pair[0] % 3 == pair[1] % 3 == 0]
    plain = [{" ".join("".join(filter(lambda c: c not in ".!", text)).lower().split()) for text in data.captions[row]}
             for row in rows]  # fmt: skip
    assert not [pair for pair in together if plain[pair[0]] & plain[pair[1]]]


def test_the_report(data: Shapes, module: RetrievalModule, trainer: Trainer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        mined = mine(trainer, module, data, Neighbours(num_neighbours=3, max_ratio=1.0), epoch=4)
    scores, guards, example = caplog.messages
    assert scores.startswith("Neighbours for epoch 5: 36 pictures in ")
    assert guards.startswith("Left out of the 3 nearest: ")
    some = np.flatnonzero(mined[:, 0] >= 0)
    first = int(some[4 % len(some)])
    one, other = (data.captions[data.rows["train"][at]][0] for at in (first, mined[first, 0]))
    assert example == f"Neighbours, for example: {one} | {other}"


def test_without_any_neighbour_there_is_no_example(caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    monkeypatch.setattr(mining, "embed_training", lambda *_: (torch.eye(4), torch.ones(4, 4)))
    rows, captions = {"train": [0, 1, 2, 3]}, [["a"]] * 4
    data: Any = SimpleNamespace(rows=rows, captions=captions, shared_texts=find_shared_texts(captions, rows["train"]))
    with caplog.at_level(logging.INFO):
        found = mine(None, None, data, Neighbours(group_size=2, num_neighbours=2), epoch=0)  # type: ignore[arg-type]
    assert (found == -1).all()
    assert "100.0 % share the text of a caption, 0.0 % score" in caplog.messages[1]
    assert "without a neighbour: 100.0 %" in caplog.messages[1]
    assert len(caplog.messages) == 2
